"""The columns of the rows that pass through the pipeline, one row a document."""

from __future__ import annotations

import hashlib

ID, TITLE, METADATA, TEXT = "id", "title", "metadata", "text"
CONTENT_HASH, SIZE, KNOWN = "content_hash", "size", "known"
VECTOR, TOKENS, READ, WINDOWS, ERROR = "vector", "tokens", "read", "windows", "error"
UNIT_RANGES, UNIT_COUNTS, UNIT_VECTORS = "unit_ranges", "unit_counts", "unit_vectors"


def version_key(document_id: str, content_hash: str) -> str:
    """Return 32 characters that stand for one version of a document."""
    return hashlib.sha256(f"{document_id}\0{content_hash}".encode()).hexdigest()[:32]
