"""Embeddings of whole documents, a retriever and a reranker of passages, for LangChain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longembed_st.extras import needs_extra

with needs_extra("langchain", "langchain_core"):
    from langchain_longembed.embeddings import LongEmbedEmbeddings

if TYPE_CHECKING:
    from langchain_longembed.compressors import LongEmbedReranker
    from langchain_longembed.retrievers import LongEmbedRetriever

__all__ = ["LongEmbedEmbeddings", "LongEmbedReranker", "LongEmbedRetriever"]


def __getattr__(name: str) -> Any:
    # The retriever needs the index and its libraries, the embeddings do not.
    if name == "LongEmbedRetriever":
        from langchain_longembed.retrievers import LongEmbedRetriever

        return LongEmbedRetriever
    if name == "LongEmbedReranker":
        from langchain_longembed.compressors import LongEmbedReranker

        return LongEmbedReranker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
