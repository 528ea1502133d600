"""The embedding function that reads whole documents, registered with Chroma as "longembed"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from chromadb.api.types import Embeddable, EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from longembed_index.embedding import NOT_FINITE, storable_model
from longembed_st.base.extension import AUTO
from longembed_st.base.fields import takes_settings
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import InputError, ModelError

if TYPE_CHECKING:
    from longembed_st.loading.cache import CachedModel
    from longembed_st.sentence_transformer.model import LongSentenceTransformer


@register_embedding_function
class LongEmbedEmbeddingFunction(EmbeddingFunction[Embeddable]):
    """One vector per document, read to its end by an extended sentence-transformers model.

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
    def __init__(self, model_name: str, method: str = AUTO, **settings: Any) -> None:
        """Load the model, or take it from the models already loaded.

        Args:
            model_name: A model on the Hugging Face Hub, or a folder.
            method: The extension method, one of `longembed_st.methods()`, or "auto".
            **settings: The other arguments of `longembed_st.load`. They are stored with the
                collection, so anything that would run a model's own code is refused.

        Raises:
            ConfigError: If a setting is wrong, or unsafe to store.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        given = ModelSettings.from_keywords(model_name=model_name, method=method, **settings)
        self.loaded: CachedModel = storable_model(given)

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made."""
        return self.loaded.provenance

    @property
    def fingerprint(self) -> str:
        """Equal for two embedding functions exactly if their vectors can be compared."""
        return self.loaded.fingerprint

    @property
    def model(self) -> LongSentenceTransformer:
        """The model behind it, shared with other instances."""
        return self.loaded.model

    def __call__(self, input: Embeddable) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Embed documents.

        Args:
            input: Texts, each read up to the extended window; images are refused.

        Returns:
            One float32 vector per document.

        Raises:
            InputError: If a text cannot be embedded.
            ModelError: If a vector is not finite.
        """
        return _finite(self.model.encode_document(_texts(input), show_progress_bar=False))

    def embed_query(self, input: Embeddable) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Embed queries; arguments, result and errors as for documents."""
        return _finite(self.model.encode_query(_texts(input), show_progress_bar=False))

    @staticmethod
    def name() -> str:
        """The name under which Chroma stores and finds this embedding function."""
        return "longembed"

    def default_space(self) -> Space:
        """Cosine, which is right for normalised and other vectors alike."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """All of Chroma's."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """The settings that Chroma stores, with the fingerprint of the vectors."""
        return self.provenance.to_dict()

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LongEmbedEmbeddingFunction:
        """Build from stored settings.

        Args:
            config: What `get_config` gave. Without a fingerprint, any model is taken.

        Returns:
            An embedding function that makes the same vectors.

        Raises:
            ConfigError: If the settings are not ours, or the model behind the name has changed.
            ModelError: If the model cannot be loaded.
        """
        stored = Provenance.from_dict(config)
        name = str(stored.settings.model_name)
        function = LongEmbedEmbeddingFunction(name, **stored.settings.keywords())
        if stored.fingerprint is not None:
            function.loaded.refuse_incompatible(stored, "the collection")
        return function

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Check settings without loading a model.

        Args:
            config: Settings, as `get_config` gives them.

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


def _texts(texts: Embeddable) -> list[str]:
    if isinstance(texts, str):
        raise InputError("give a list of texts, not one text")
    # What is no string is refused by the model, which says so.
    return cast("list[str]", list(texts))


def _finite(array: Any) -> Embeddings:
    vectors = np.asarray(array, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ModelError(NOT_FINITE)
    return list(vectors)
