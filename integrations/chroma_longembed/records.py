"""Records, and how documents become records: embedded together, each with what was read of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import longembed_st as le
from longembed_st.errors import LongEmbedError, TextNotReadWarning

BATCH_CHARACTERS = 65_536
"""Characters embedded between two writes: some seconds of work on a small CPU, lost if killed."""

COVERAGE = ("tokens", "read", "windows")
"""What a record says about the reading of its text; the rest of its metadata is about the text."""

Embed = Callable[[list[str]], Sequence[Any]]
"""From texts to one vector each, in their order."""


@dataclass(frozen=True)
class Record:
    """One vector and what it stands for.

    Attributes:
        id: From the document's name and content.
        text: The whole document.
        vector: Its embedding.
        metadata: Where it is from, and how much of it was read.
    """

    id: str
    text: str
    vector: Any
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Unembedded:
    """A record that has no vector yet.

    Attributes:
        id: From the document's name and content.
        text: The whole document.
        metadata: Where it is from.
    """

    id: str
    text: str
    metadata: Mapping[str, Any]


def embed_records(batch: Sequence[Unembedded], embed: Embed) -> tuple[list[Record], dict[str, str]]:
    """Embed some documents together; where that fails, each for itself.

    Args:
        batch: The documents.
        embed: Gives the vectors; what of a text was read is taken from the core's observer.

    Returns:
        The records, and by id the reason why there is none.
    """
    if not batch:
        return [], {}
    try:
        return list(_records(batch, embed)), {}
    except LongEmbedError as error:
        if len(batch) == 1:
            return [], {batch[0].id: str(error)}
    # One of them is at fault: alone, each answers for itself.
    alone = [embed_records([document], embed) for document in batch]
    failures = {record_id: why for _, failed in alone for record_id, why in failed.items()}
    return [record for records, _ in alone for record in records], failures


def _records(batch: Sequence[Unembedded], embed: Embed) -> Iterator[Record]:
    with le.observe_coverage() as seen, warnings.catch_warnings():
        # The report names every text that was not read to its end.
        warnings.simplefilter("ignore", TextNotReadWarning)
        vectors = embed([document.text for document in batch])
    for document, vector in zip(batch, vectors, strict=True):
        coverage = seen[document.text]
        read = {name: getattr(coverage, name) for name in COVERAGE}
        yield Record(document.id, document.text, vector, {**document.metadata, **read})
