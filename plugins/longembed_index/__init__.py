"""Index whole documents, and find them and their passages by words and vectors."""

from longembed_index.document import Document, Entry, Hit, Passage

__all__ = ["Document", "Entry", "Hit", "Passage"]
