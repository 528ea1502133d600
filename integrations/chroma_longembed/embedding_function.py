"""The embedding function that reads whole documents, registered with Chroma as "longembed"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
from chromadb.utils.embedding_functions import register_embedding_function

from chroma_longembed import settings
from longembed_st.cache import cached_model
from longembed_st.errors import InputError, ModelError

if TYPE_CHECKING:
    from longembed_st import LongSentenceTransformer


@register_embedding_function
class LongEmbedEmbeddingFunction(EmbeddingFunction[Documents]):
    """One vector per document, read to its end by an extended sentence-transformers model.

    Documents go through `encode_document` and queries through `encode_query`, so that a model's
    prompts are applied. Instances with equal settings share one loaded model.

    Example:
        >>> client.create_collection(
        ...     "papers",
        ...     embedding_function=LongEmbedEmbeddingFunction(
        ...         "sentence-transformers/all-MiniLM-L6-v2", method="pcw", window_size=256
        ...     ),
        ... )
    """

    def __init__(
        self,
        model_name: str,
        method: str = "auto",
        max_seq_length: int | None = None,
        original_max_seq_length: int | None = None,
        logn_scaling: bool = False,
        on_overflow: Literal["warn", "error", "truncate"] = "warn",
        device: str | None = None,
        prompts: dict[str, str] | None = None,
        **options: Any,
    ) -> None:
        """Load the model, or take it from the models already loaded.

        Args:
            model_name: A model on the Hugging Face Hub, or a folder.
            method: The extension method, one of `longembed_st.methods()`, or "auto".
            max_seq_length: The extended window in tokens; None for the method's default.
            original_max_seq_length: The original window in tokens; None for the model's own.
            logn_scaling: Scale attention logits with the logarithm of the text's length.
            on_overflow: What happens to a text that is longer than the extended window.
            device: Where to compute; None chooses. Does not count as a change of settings.
            prompts: Texts put before queries and documents, by the names "query" and "document";
                None for the model's own.
            **options: The method's own options, and keywords of `SentenceTransformer` that are
                plain data. They are stored with the collection, so anything that would run a
                model's own code is refused.

        Raises:
            ConfigError: If a setting is wrong, or unsafe to store.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        # A relative path would mean another folder to whoever reopens the collection elsewhere.
        if Path(model_name).is_dir():
            model_name = str(Path(model_name).resolve())
        given: settings.Settings = {
            "model_name": model_name,
            "method": method,
            "max_seq_length": max_seq_length,
            "original_max_seq_length": original_max_seq_length,
            "logn_scaling": logn_scaling,
            "on_overflow": on_overflow,
            "device": device,
            "prompts": prompts,
            "options": options,
        }
        settings.check(given)
        arguments = settings.flat(given)
        if prompts is None:
            # Given, it would replace the prompts that the model was saved with.
            del arguments["prompts"]
        self._loaded = cached_model(**arguments)
        # What "auto" and the defaults came to, so that a later version's defaults change nothing.
        resolved = dict(self._loaded.settings)
        self._settings = {name: resolved.pop(name, None) for name in given if name != "options"}
        self._settings["options"] = resolved

    @property
    def fingerprint(self) -> str:
        """Equal for two embedding functions exactly if their vectors can be compared."""
        return self._loaded.fingerprint

    @property
    def model(self) -> LongSentenceTransformer:
        """The model behind it, shared with other instances."""
        return self._loaded.model

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Embed documents.

        Args:
            input: Documents, each read up to the extended window.

        Returns:
            One float32 vector per document.

        Raises:
            InputError: If a text cannot be embedded.
            ModelError: If a vector is not finite.
        """
        texts = _texts(input)
        return _vectors(self.model.encode_document(texts, show_progress_bar=False))

    def embed_query(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma checks the name
        """Embed queries; arguments, result and errors as for documents."""
        texts = _texts(input)
        return _vectors(self.model.encode_query(texts, show_progress_bar=False))

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

    def get_config(self) -> settings.Settings:
        """The settings that Chroma stores, with the fingerprint of the vectors."""
        return {**self._settings, "fingerprint": self.fingerprint}

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
        LongEmbedEmbeddingFunction.validate_config(config)
        arguments = settings.flat(config)
        expected = arguments.pop("fingerprint", None)
        function = LongEmbedEmbeddingFunction(**arguments)
        if expected is not None:
            settings.refuse_other_vectors(config, function.get_config(), "the collection")
        return function

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Check settings without loading a model.

        Args:
            config: Settings, as `get_config` gives them.

        Raises:
            ConfigError: With the name of the setting at fault.
        """
        settings.check(config)

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
        settings.check(new_config)
        settings.refuse_other_vectors(old_config, new_config, "the collection")


def _texts(texts: Documents) -> list[str]:
    if isinstance(texts, str):
        raise InputError("give a list of texts, not one text")
    return list(texts)


def _vectors(array: Any) -> Embeddings:
    vectors = np.asarray(array, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ModelError("the model gave a vector that is not finite; nothing was stored")
    return list(vectors)
