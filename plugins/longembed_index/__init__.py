"""Index whole documents, and find them and their passages by words and vectors."""

from longembed_index.document import Document, Entry, Hit, Passage
from longembed_index.index import Index

__all__ = ["Document", "Entry", "Hit", "Index", "Passage"]
