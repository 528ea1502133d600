"""Haystack's view of an extended sentence-transformers model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haystack import Document, component, default_from_dict, default_to_dict

from longembed_st.adapter import plain_floats
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import InputError

if TYPE_CHECKING:
    from longembed_st.base.coverage import Encoded
    from longembed_st.base.long_model import Role
    from longembed_st.base.provenance import Provenance
    from longembed_st.loading.cache import CachedModel

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class _Embedder:
    """What both components have in common: settings, the model, and how they are written down."""

    def __init__(self, model: str, settings: Mapping[str, Any] | None, **others: Any) -> None:
        self.model = model
        self.settings = dict(settings or {})
        self._others = others
        # A mistake is told where it is made, not when the pipeline runs.
        self._given = ModelSettings.from_keywords(model_name=model, **self.settings)
        self._loaded: CachedModel | None = None

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made, to be kept and compared with those of a store."""
        return self._model.provenance

    @property
    def _model(self) -> CachedModel:
        if self._loaded is None:
            # Importing a component must stay light.
            from longembed_st.loading.cache import cached_model

            self._loaded = cached_model(self._given)
        return self._loaded

    def warm_up(self) -> None:
        """Load the model, or share the one that another component of these settings has loaded.

        Raises:
            ConfigError: If a setting is wrong for the model.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        _ = self._model

    def to_dict(self) -> dict[str, Any]:
        """The component as Haystack writes it into a pipeline's YAML."""
        data: dict[str, Any] = default_to_dict(
            self, model=self.model, settings=self.settings, **self._others
        )
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The component that `to_dict` wrote down."""
        return default_from_dict(cls, data)

    def _encode(self, texts: Sequence[str], role: Role) -> Encoded:
        return self._model.model.encode_with_coverage(list(texts), role=role)


@component
class LongEmbedTextEmbedder(_Embedder):
    """Embeds a query, for a retriever.

    Args:
        model: Folder or Hugging Face hub name.
        settings: Of `longembed_st.load`: `method`, `max_seq_length`, `whitening`, `device` and the
            method's own options. None for a method that fits the model.

    Raises:
        ConfigError: If a setting is out of range, or there is none of the name.
    """

    def __init__(
        self, model: str = DEFAULT_MODEL, *, settings: Mapping[str, Any] | None = None
    ) -> None:
        # Haystack makes another class of this one, which `super()` does not know.
        _Embedder.__init__(self, model, settings)

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    def run(self, text: str) -> dict[str, Any]:
        """Embed a query.

        Args:
            text: The query; a model's prompt for queries is put before it.

        Returns:
            `embedding`, and `meta` with the model, and how many `tokens` there are and were `read`.

        Raises:
            InputError: If it is no text, or too long under the policy "error".
            ModelError: If the vector is not finite.
        """
        if not isinstance(text, str):
            raise InputError(
                f"LongEmbedTextEmbedder takes a string, not a {type(text).__name__}; for documents "
                "there is LongEmbedDocumentEmbedder"
            )
        encoded = self._encode([text], "query")
        return {
            "embedding": plain_floats(encoded.vectors)[0],
            "meta": _meta(self.model, encoded),
        }

    @component.output_types(embedding=list[float], meta=dict[str, Any])
    async def run_async(self, text: str) -> dict[str, Any]:
        """The same in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.run, text)


@component
class LongEmbedDocumentEmbedder(_Embedder):
    """Embeds documents whole, each to its end: no splitter is needed before it.

    Args:
        model: Folder or Hugging Face hub name.
        settings: As for `LongEmbedTextEmbedder`; the same, so that vectors can be compared.
        meta_fields_to_embed: Of a document's metadata, what is put before its text.
        embedding_separator: Stands between those and the text.

    Raises:
        ConfigError: If a setting is out of range, or there is none of the name.
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

        Args:
            documents: With a `content`; left as they are.

        Returns:
            `documents`, copies with an `embedding`; and `meta` with the model, and how many
            `tokens` the documents have and were `read`.

        Raises:
            InputError: If one is no document or has no text, or is too long under the policy
                "error".
            ModelError: If a vector is not finite.
        """
        texts = [self._text_of(document) for document in documents]
        encoded = self._encode(texts, "document")
        vectors = plain_floats(encoded.vectors) if texts else []
        embedded = [
            replace(document, embedding=vector)
            for document, vector in zip(documents, vectors, strict=True)
        ]
        return {"documents": embedded, "meta": _meta(self.model, encoded)}

    @component.output_types(documents=list[Document], meta=dict[str, Any])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """The same in a thread, so that the event loop goes on."""
        return await asyncio.to_thread(self.run, documents)

    def _text_of(self, document: Document) -> str:
        if not isinstance(document, Document):
            raise InputError(
                "LongEmbedDocumentEmbedder takes a list of Documents; for a query there is "
                "LongEmbedTextEmbedder"
            )
        if document.content is None:
            raise InputError(f"the document {document.id} has no content to embed")
        found = [document.meta.get(field) for field in self.meta_fields_to_embed]
        parts = [*(str(one) for one in found if one is not None), document.content]
        return self.embedding_separator.join(parts)


def _meta(model: str, encoded: Encoded) -> dict[str, Any]:
    return {
        "model": model,
        "tokens": sum(one.tokens for one in encoded.coverages),
        "read": sum(one.read for one in encoded.coverages),
    }
