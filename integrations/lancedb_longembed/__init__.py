"""LanceDB as a store of `longembed index`, and an embedding function for tables of one's own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancedb_longembed.embedding_function import LongEmbedEmbeddingFunction

__all__ = ["LongEmbedEmbeddingFunction"]


def __getattr__(name: str) -> Any:
    # Commands ask for kinds of stores, and should not import LanceDB for that.
    if name != "LongEmbedEmbeddingFunction":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from longembed_st.extras import needs_extra

    with needs_extra("lancedb", "lancedb", "pyarrow"):
        from lancedb_longembed.embedding_function import LongEmbedEmbeddingFunction

    return LongEmbedEmbeddingFunction
