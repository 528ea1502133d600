"""LlamaIndex's view of an extended sentence-transformers model."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.utils import get_tqdm_iterable
from pydantic import Field

from longembed_st.adapter import AdapterSettings, plain_floats
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

DOCUMENTS_AT_ONCE = 256
"""Handed to the model together, which sorts them by length and computes them in small batches."""


class LongEmbedEmbedding(AdapterSettings, BaseEmbedding):
    """One vector per document, read to its end by an extended sentence-transformers model.

    Its settings are those of `longembed_st.load`. Documents go through `encode_document` and
    queries through `encode_query`, so that a model's prompts are applied. Everything that changes a
    vector is a field, the weights by way of the fingerprint, so that the ingestion cache never
    answers with another model's vectors. Objects with equal settings share one loaded model.

    LlamaIndex cuts documents into chunks unless told otherwise: use `WholeDocumentParser`.

    Example:
        ```python
        embed_model = LongEmbedEmbedding(
            model_name="sentence-transformers/all-MiniLM-L6-v2", method="pcw", window_size=256
        )
        index = VectorStoreIndex.from_documents(
            documents, transformations=[WholeDocumentParser()], embed_model=embed_model
        )
        ```
    """

    renamed_arguments: ClassVar[Mapping[str, str]] = {
        "max_length": "the most tokens that are read of a text are max_seq_length here, more than "
        "the model's own window. Leave it out to have texts read as far as the method reaches",
        "parallel_process": "name the devices instead: encode_kwargs={'device': ['cuda:0', ...]}",
        "target_devices": "name them so: encode_kwargs={'device': ['cuda:0', ...]}",
        "model": "give its name or folder as model_name",
        "tokenizer": "the model brings its own",
        "tokenizer_name": "the model brings its own tokenizer",
        "tokenizer_kwargs": "these are processor_kwargs, as in sentence-transformers",
        "pooling": "the model brings its own pooling, as sentence-transformers has saved it",
    }

    embed_batch_size: int = Field(
        default=DOCUMENTS_AT_ONCE,
        gt=0,
        le=2048,
        description="Documents handed to the model together; token_budget bounds the memory.",
    )
    query_instruction: str | None = Field(
        default=None, frozen=True, description="Put before queries; None for the model's prompt."
    )
    text_instruction: str | None = Field(
        default=None, frozen=True, description="Put before documents; None for the model's prompt."
    )
    encode_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        frozen=True,
        description="Arguments of encode: normalize_embeddings, truncate_dim, batch_size, ...",
    )
    normalize: bool | None = Field(
        default=None,
        frozen=True,
        description="Whether vectors have unit length; None leaves that to the model.",
    )
    show_progress_bar: bool = Field(
        default=False, description="Show how far the model is with the documents of a batch."
    )
    fingerprint: str | None = Field(
        default=None,
        frozen=True,
        description="Of the model. If given, a model that makes other vectors is refused.",
    )

    def __init__(self, model_name: str, **data: Any) -> None:
        """Load the model, or share the one that another object with equal settings has loaded.

        Args:
            model_name: Folder or Hugging Face hub name.
            **data: The other fields, and the method's own options.

        Raises:
            ConfigError: If a setting is out of range or wrong for the model, or if the model is not
                the one that the fingerprint was taken from.
            ModelError: If the model cannot be loaded or cannot take the method.
        """
        super().__init__(model_name=model_name, **data)
        if self.fingerprint is not None:
            given = ModelSettings(**{"model_name": self.model_name, **self.explicit})
            if not self._loaded.is_compatible(Provenance(given, self.fingerprint)):
                raise ConfigError(
                    f"model {self.model_name!r} does not make the vectors of fingerprint "
                    f"{self.fingerprint}: its own is {self._loaded.fingerprint}. Weights or "
                    "settings have changed since; leave the fingerprint out to use the model as it "
                    "is now"
                )
        self.__dict__["fingerprint"] = self._loaded.fingerprint

    @classmethod
    def class_name(cls) -> str:
        """Return the name that LlamaIndex stores."""
        return "LongEmbedEmbedding"

    def _get_query_embedding(self, query: str) -> Embedding:
        arguments = self._arguments(self.query_instruction)
        return plain_floats(self.sentence_transformer.encode_query([query], **arguments))[0]

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        arguments = self._arguments(self.text_instruction)
        return plain_floats(self.sentence_transformer.encode_document(texts, **arguments))

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)

    async def aget_text_embedding_batch(
        self, texts: list[str], show_progress: bool = False, **kwargs: Any
    ) -> list[Embedding]:
        """Embed documents without blocking the event loop, and use the cache asynchronously.

        One batch after the other: side by side, as the base class has it, they would be no faster
        and take the memory of all.

        Args:
            texts: Documents.
            show_progress: Whether to show a progress bar.
            **kwargs: Passed on.

        Returns:
            One vector per document.
        """
        vectors: list[Embedding] = []
        starts = range(0, len(texts), self.embed_batch_size)
        for start in get_tqdm_iterable(starts, show_progress, "Generating embeddings"):
            batch = texts[start : start + self.embed_batch_size]
            vectors += await super().aget_text_embedding_batch(batch, **kwargs)
        return vectors

    def _arguments(self, instruction: str | None) -> dict[str, Any]:
        prompt = {} if instruction is None else {"prompt": instruction}
        unit = {} if self.normalize is None else {"normalize_embeddings": self.normalize}
        return {"show_progress_bar": self.show_progress_bar, **unit, **prompt, **self.encode_kwargs}
