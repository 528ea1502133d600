"""Chroma: the embedding function, the guard of collections, and the mirror of a store.

Importing this package registers the embedding function with Chroma, if that is installed: Chroma
needs it before it can reopen a collection by itself. No library of models is imported.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from longembed_index.errors import StoreError
from longembed_st.extras import MissingExtraError, needs_extra

if TYPE_CHECKING:
    from chroma_longembed.collection import guard, open_collection
    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.reindexing import reindex

__all__ = [
    "LongEmbedEmbeddingFunction",
    "MissingExtraError",
    "StoreError",
    "guard",
    "open_collection",
    "reindex",
]

_MODULES = {
    "LongEmbedEmbeddingFunction": "chroma_longembed.embedding_function",
    "guard": "chroma_longembed.collection",
    "open_collection": "chroma_longembed.collection",
    "reindex": "chroma_longembed.reindexing",
}


if find_spec("chromadb") is not None:
    import_module("chroma_longembed.embedding_function")


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra("chroma", "chromadb"):
        return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
