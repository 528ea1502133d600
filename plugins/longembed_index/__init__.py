"""Index whole documents, and find them and their passages by words and vectors."""

from typing import TYPE_CHECKING, Any

from longembed_index.document import Document, Entry, Hit, Passage

if TYPE_CHECKING:
    from longembed_index.index import Index

__all__ = ["Document", "Entry", "Hit", "Index", "Passage"]


def __getattr__(name: str) -> Any:
    # The index imports NumPy and more, and `longembed --help` should not.
    if name != "Index":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from longembed_index.index import Index

    return Index
