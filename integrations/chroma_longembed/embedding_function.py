"""The embedding function that reads whole documents, registered with Chroma as "longembed"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from chromadb.api.types import Embeddable, EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from longembed_index.maintain.embedding import storable_model
from longembed_st.base.extension import AUTO
from longembed_st.base.fields import takes_settings
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from longembed_st.loading.cache import CachedModel
    from longembed_st.sentence_transformer.model import LongSentenceTransformer


_describe_only: ContextVar[bool] = ContextVar("describe_only", default=False)


@register_embedding_function
class LongEmbedEmbeddingFunction(EmbeddingFunction[Embeddable]):
    """Makes one vector per document, with a sentence-transformers model that reads it to its end.

    Documents go through `encode_document` and queries through `encode_query`, so that a model's
    prompts are applied. Instances with equal settings share one loaded model.

    Attributes:
        loaded: The model behind it, shared with other instances.

    Example:
        ```python
        client.create_collection(
            "papers",
            embedding_function=LongEmbedEmbeddingFunction(
                "sentence-transformers/all-MiniLM-L6-v2", method="pcw", window_size=256
            ),
        )
        ```
    """

    @takes_settings(ModelSettings)
    def __init__(
        self,
        model_name: str,
        method: str = AUTO,
        *,
        normalize_embeddings: bool = False,
        **settings: Any,
    ) -> None:
        """Load the model, or take it from the models already loaded.

        Args:
            model_name: A model on the Hugging Face Hub, or a folder.
            method: The extension method, one of `longembed_st.methods()`, or "auto".
            normalize_embeddings: As in Chroma's own function. True is refused for a model that
                does not normalize its vectors itself.
            **settings: The other arguments of `longembed_st.load`. They are stored with the
                collection, so anything that would run a model's own code is refused.

        Raises:
            ConfigError: If a setting is wrong, or unsafe to store.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        named = ModelSettings.from_keywords(model_name=model_name, method=method, **settings)
        self.loaded: CachedModel = storable_model(named)
        last = type(list(self.model)[-1]).__name__
        if normalize_embeddings and last != "Normalize":
            raise ConfigError(
                f"normalize_embeddings=True: the model {model_name!r} does not normalize its "
                "vectors. Leave the argument out: distances by cosine, the default, do not depend "
                "on the length of vectors"
            )

    @property
    def provenance(self) -> Provenance:
        """Return the model and the settings that make the vectors."""
        return self.loaded.provenance

    @property
    def fingerprint(self) -> str:
        """Return what is equal for two embedding functions if their vectors can be compared."""
        return self.loaded.fingerprint

    @property
    def model(self) -> LongSentenceTransformer:
        """Return the model behind it, shared with other instances."""
        return self.loaded.model

    def __call__(self, input: Embeddable) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Return the vectors of documents.

        Args:
            input: Texts, or one text, each read up to the extended window; images are refused.

        Returns:
            One float32 vector per document, shape (dimensions,).

        Raises:
            InputError: If a text cannot be embedded.
            ModelError: If a vector is not finite.
        """
        return _finite(self.model.encode_document(_texts(input), show_progress_bar=False))

    def embed_query(self, input: Embeddable) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Return the vectors of queries; arguments and errors as for documents."""
        return _finite(self.model.encode_query(_texts(input), show_progress_bar=False))

    @staticmethod
    def name() -> str:
        """Return the name under which Chroma stores and finds this embedding function."""
        return "longembed"

    def default_space(self) -> Space:
        """Return cosine, which is right for normalised and other vectors alike."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """Return all of Chroma's."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """Return the settings that Chroma stores, with the fingerprint of the vectors."""
        return self.provenance.to_dict()

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LongEmbedEmbeddingFunction:
        """Return an embedding function from stored settings.

        Args:
            config: What `get_config` returned. Without a fingerprint, any model is accepted.

        Raises:
            ConfigError: If the settings are not ours, or the model behind the name has changed.
            ModelError: If the model cannot be loaded.
        """
        stored = Provenance.from_dict(config)
        if _describe_only.get():
            return Described(stored)
        name = str(stored.settings.model_name)
        function = LongEmbedEmbeddingFunction(name, **stored.settings.keywords())
        if stored.fingerprint is not None:
            function.loaded.refuse_incompatible(stored, "the collection")
        return function

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Check settings as `get_config` returns them, without loading a model.

        Raises:
            ConfigError: With the name of the setting at fault.
        """
        Provenance.from_dict(config)

    def validate_config_update(
        self, old_config: dict[str, Any], new_config: dict[str, Any]
    ) -> None:
        """Let a collection's settings change only where no vector does.

        Args:
            old_config: The stored settings.
            new_config: The settings to replace them.

        Raises:
            ConfigError: With the name of each differing setting.
        """
        new = Provenance.from_dict(new_config)
        Provenance.from_dict(old_config).refuse_incompatible(new, "the collection")


class Described(LongEmbedEmbeddingFunction):
    """What Chroma keeps of an embedding function, without its model."""

    def __init__(self, provenance: Provenance) -> None:
        self._config = provenance.to_dict()

    def get_config(self) -> dict[str, Any]:
        """Return the settings that Chroma stores."""
        return self._config

    def is_legacy(self) -> bool:
        """Return false; Chroma would find out by loading the model."""
        return False


@contextmanager
def without_models() -> Iterator[None]:
    """Let Chroma describe embedding functions from their settings, and load no model."""
    token = _describe_only.set(True)
    try:
        yield
    finally:
        _describe_only.reset(token)


def _texts(texts: Embeddable) -> list[str]:
    # The model refuses what is not a string, and says so.
    return [texts] if isinstance(texts, str) else cast("list[str]", list(texts))


def _finite(array: Any) -> Embeddings:
    vectors = np.asarray(array, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ModelError("the model gave a vector that is not finite; it was not stored")
    return list(vectors)
