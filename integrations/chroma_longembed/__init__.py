"""Chroma collections of whole documents: the embedding function, the collection guard, the store.

The first use of a name imports Chroma and registers the embedding function with it, which Chroma
needs before it can reopen a collection by itself. Importing this package alone stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longembed_index.errors import StoreError
from longembed_st.extras import MissingExtraError, needs_extra

if TYPE_CHECKING:
    from chroma_longembed.collection import open_collection
    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.store import reindex

__all__ = [
    "LongEmbedEmbeddingFunction",
    "MissingExtraError",
    "StoreError",
    "open_collection",
    "reindex",
]

_HOME = {
    "LongEmbedEmbeddingFunction": "chroma_longembed.embedding_function",
    "open_collection": "chroma_longembed.collection",
    "reindex": "chroma_longembed.store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("chroma", "chromadb"):
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
