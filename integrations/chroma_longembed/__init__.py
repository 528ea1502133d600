"""Chroma collections of whole documents: embedding function, collection guard, file ingestion.

The first use of a name imports Chroma and registers the embedding function with it, which Chroma
needs before it can reopen a collection by itself. Importing this package alone stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chroma_longembed.errors import MissingExtraError, StoreError, needs_extra

if TYPE_CHECKING:
    from chroma_longembed.collection import open_collection
    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.reindexing import reindex

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
    "reindex": "chroma_longembed.reindexing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra():
        return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
