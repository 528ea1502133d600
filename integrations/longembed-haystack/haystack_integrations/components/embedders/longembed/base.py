"""Haystack components that embed with an extended sentence-transformers model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haystack import Document, component, default_from_dict, default_to_dict, logging

from longembed_st.adapter import plain_floats
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_st.base.coverage import Encoded
    from longembed_st.base.long_model import Role
    from longembed_st.base.provenance import Provenance
    from longembed_st.loading.cache import CachedModel

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class _Embedder:
    """The base class of both components: settings, the model, and serialization."""

    def __init__(
        self, model: str, settings: Mapping[str, Any] | None, **init_parameters: Any
    ) -> None:
        self.model = model
        self.settings = dict(settings or {})
        self._init_parameters = init_parameters
        # Report a wrong setting here, not when the pipeline runs.
        self._model_settings = ModelSettings.from_keywords(model_name=model, **self.settings)
        self._loaded: CachedModel | None = None

    @property
    def provenance(self) -> Provenance:
        """The record of how the vectors are made, to be compared with the provenance of a store."""
        return self._model.provenance

    @property
    def _model(self) -> CachedModel:
        if self._loaded is None:
            # Import late, so that importing a component does not load torch.
            from longembed_st.loading.cache import cached_model

            self._loaded = cached_model(self._model_settings)
        return self._loaded

    def warm_up(self) -> None:
        """Load the model; components with equal settings share one.

        Raises:
            ConfigError: If a setting is wrong for the model.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        _ = self._model

    def to_dict(self) -> dict[str, Any]:
        """Return the component as a dictionary, which Haystack writes into a pipeline's YAML."""
        data: dict[str, Any] = default_to_dict(
            self, model=self.model, settings=self.settings, **self._init_parameters
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Return the component that `to_dict` described."""
        return default_from_dict(cls, data)

    def _encode(self, texts: Sequence[str], role: Role) -> Encoded:
        return self._model.model.encode_with_coverage(list(texts), role=role)


@component
class LongEmbedTextEmbedder(_Embedder):
    """Embed a query, for a retriever.

    Args:
        model: The name of the model on the Hugging Face hub, or its folder.
        settings: Settings of `longembed_st.load`: `method`, `max_seq_length`, `whitening`, `device`
            and the options of the method. None for a method that fits the model.

    Raises:
        ConfigError: If a setting is unknown or out of range.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, settings: Mapping[str, Any] | None = None
    ) -> None:
        # Haystack replaces this class by a new one, so `super()` does not work here.
        _Embedder.__init__(self, model, settings)

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embed a query.

        Args:
            text: The query. If the model has a prompt for queries, it is added in front.

        Returns:
            `embedding`, and `meta` with the `model`, the number of `tokens` of the query, and how
            many of them were `read`.

        Raises:
            InputError: If `text` is not a string, or too long with `on_overflow="error"`.
            ModelError: If the vector is not finite.
        """
        if not isinstance(text, str):
            raise InputError(
                f"LongEmbedTextEmbedder takes a string, not a {type(text).__name__}. For documents "
                "use LongEmbedDocumentEmbedder"
            )
        encoded = self._encode([text], "query")
        return {"embedding": plain_floats(encoded.vectors)[0], "meta": _meta(self.model, encoded)}

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """Call `run` in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.run, text)


@component
class LongEmbedDocumentEmbedder(_Embedder):
    """Embed whole documents, without a splitter before it.

    Args:
        model: The name of the model on the Hugging Face hub, or its folder.
        settings: The same as for `LongEmbedTextEmbedder`. Use equal settings for both, so that
            their vectors can be compared.
        meta_fields_to_embed: The metadata fields whose values are put before the text.
        embedding_separator: The string between these values and the text.

    Raises:
        ConfigError: If a setting is unknown or out of range.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        settings: Mapping[str, Any] | None = None,
        meta_fields_to_embed: list[str] | None = None,
        embedding_separator: str = "\n",
    ) -> None:
        _Embedder.__init__(
            self,
            model,
            settings,
            meta_fields_to_embed=meta_fields_to_embed or [],
            embedding_separator=embedding_separator,
        )
        self.meta_fields_to_embed = meta_fields_to_embed or []
        self.embedding_separator = embedding_separator

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Embed documents.

        A document that has no text at all, for instance a picture, is passed on without a vector.

        Args:
            documents: Documents. They are not changed.

        Returns:
            `documents`, copies with an `embedding`, and `meta` with the `model`, the number of
            `tokens` of the documents, how many of them were `read`, and the ids of documents
            `without_text`.

        Raises:
            InputError: If an item is not a document, or is too long with `on_overflow="error"`.
            ModelError: If a vector is not finite.
        """
        texts = [self._text_of(document) for document in documents]
        encoded = self._encode([text for text in texts if text is not None], "document")
        vectors = iter(plain_floats(encoded.vectors))
        embedded = [
            document if text is None else replace(document, embedding=next(vectors))
            for document, text in zip(documents, texts, strict=True)
        ]
        skipped = [d.id for d, text in zip(documents, texts, strict=True) if text is None]
        if skipped:
            logger.warning(
                "Documents without text got no embedding: {ids}. Retrievers that compare embeddings"
                " do not find them",
                ids=", ".join(skipped),
            )
        meta = {**_meta(self.model, encoded), "without_text": skipped}
        return {"documents": embedded, "meta": meta}

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """Call `run` in a thread, so that the event loop is not blocked."""
        return await asyncio.to_thread(self.run, documents)

    def _text_of(self, document: Document) -> str | None:
        if not isinstance(document, Document):
            raise InputError(
                "LongEmbedDocumentEmbedder takes a list of Documents, not of "
                f"{type(document).__name__}. For a query use LongEmbedTextEmbedder"
            )
        values = [document.meta.get(field) for field in self.meta_fields_to_embed]
        parts = [str(value) for value in (*values, document.content) if value is not None]
        return self.embedding_separator.join(parts) if parts else None


def _meta(model: str, encoded: Encoded) -> dict[str, Any]:
    return {
        "model": model,
        "tokens": sum(coverage.tokens for coverage in encoded.coverages),
        "read": sum(coverage.read for coverage in encoded.coverages),
    }
