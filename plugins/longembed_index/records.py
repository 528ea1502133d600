"""What a store keeps of a document, and what tells our records from those of other programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longembed_st.base.coverage import Coverage

SOURCE, TITLE, CONTENT_HASH = "source", "title", "content_hash"
TOKENS, READ, WINDOWS = COUNTS = ("tokens", "read", "windows")
"""What is stored of a vector's coverage."""


@dataclass(frozen=True)
class Record:
    """One vector and what it stands for.

    Attributes:
        id: Its key in the store.
        text: The whole document; None if another program stored a bare vector.
        vector: Its embedding; None if a store has lost it.
        metadata: Where it is from, and how much of it was read.
    """

    id: str
    text: str | None
    vector: Any
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its document."""
        return document_name(self.id, self.metadata)


@dataclass(frozen=True)
class Match:
    """A record that a search has found.

    Attributes:
        id: Its key in the store.
        score: How similar it is; more is better.
        metadata: As stored.
    """

    id: str
    score: float
    metadata: Mapping[str, Any]


def counts(coverage: Coverage) -> dict[str, int]:
    """A vector's coverage, as it is stored with it.

    Args:
        coverage: What was read of the text.
    """
    return {TOKENS: coverage.tokens, READ: coverage.read, WINDOWS: coverage.passes}


def is_ours(metadata: Mapping[str, Any]) -> bool:
    """Whether our ingestion wrote it, and not a program with a meaning of its own for "tokens".

    Args:
        metadata: Of a record.
    """
    return all(isinstance(metadata.get(name), str) for name in (SOURCE, CONTENT_HASH)) and all(
        isinstance(metadata.get(name), int) for name in COUNTS
    )


def meets(metadata: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Whether a record has the values that are asked for.

    Args:
        metadata: Of the record.
        where: Values by key, all of which must be there, as they are written: `true`, `2019`. In
            them, `*` stands for any characters and `?` for any one.
    """
    return all(key in metadata and _is_like(metadata[key], value) for key, value in where.items())


def _is_like(value: Any, wanted: str) -> bool:
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return written == wanted or fnmatchcase(written, wanted)


def document_name(record_id: str, metadata: Mapping[str, Any]) -> str:
    """The name of a record's document; a record of another program goes by its id.

    Args:
        record_id: The record's key.
        metadata: Of the record.
    """
    return str(metadata[SOURCE]) if is_ours(metadata) else record_id
