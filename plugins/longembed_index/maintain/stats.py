"""What an index holds, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from longembed_index.store.protocol import LexicalIndex, Store

_NO_MATTER = ("model_name", "on_overflow", "token_budget")
"""Settings that do not change vectors, or are shown by themselves."""


@dataclass(frozen=True)
class Stats:
    """What an index holds.

    Attributes:
        path: Where the data is: a folder, or the URL of an object store.
        documents: The number of documents.
        tokens: The length of all documents, in tokens.
        tokens_read: The number of tokens that their vectors were computed from.
        tokens_unknown: The number of those tokens that the model does not know.
        documents_read_in_part: The number of documents that were not read to their end.
        documents_with_unknown_tokens: The number of documents with many such tokens.
        documents_with_parts_left_out: The number of documents of whose files parts were not read.
        characters: The length of all texts.
        model: The name or folder of the model.
        settings: The settings that the model was loaded with.
        fingerprint: The fingerprint of the model.
        units: Whether documents have sentence units, too.
        words: The number of documents whose words can be searched.
        language: The language of the words.
        ranking: How the index is searched unless a search says otherwise.
        bytes: What the store takes; None if that cannot be told.
    """

    path: str
    documents: int
    tokens: int
    tokens_read: int
    tokens_unknown: int
    documents_read_in_part: int
    documents_with_unknown_tokens: int
    documents_with_parts_left_out: int
    characters: int
    model: str
    settings: Mapping[str, Any]
    fingerprint: str | None
    units: bool
    words: int
    language: str | None
    ranking: str
    bytes: int | None


def stats_of(store: Store, words: LexicalIndex, path: str, size: int | None) -> Stats:
    """Count what a store holds."""
    info = store.info
    settings = info.provenance.settings
    documents = tokens = tokens_read = tokens_unknown = characters = 0
    partly_read = unknown = left_out = 0
    for entry in store.entries():
        documents += 1
        tokens += entry.tokens
        tokens_read += entry.tokens_read
        tokens_unknown += entry.tokens_unknown
        partly_read += entry.tokens_read < entry.tokens
        unknown += entry.coverage.is_unknown
        left_out += bool(entry.left_out)
        characters += entry.characters
    return Stats(
        path=path,
        documents=documents,
        tokens=tokens,
        tokens_read=tokens_read,
        tokens_unknown=tokens_unknown,
        documents_read_in_part=partly_read,
        documents_with_unknown_tokens=unknown,
        documents_with_parts_left_out=left_out,
        characters=characters,
        model=str(settings.model_name),
        settings={
            name: value
            for name, value in settings.keywords().items()
            if value is not None and name not in _NO_MATTER
        },
        fingerprint=info.provenance.fingerprint,
        units=info.units,
        words=len(words),
        language=info.language or words.language,
        ranking=f"{info.ranking.mode}, weight {info.ranking.weight}",
        bytes=size,
    )
