"""The sentences of documents, kept from one query to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from longembed_index.search.sentences import Sentences, read_sentences

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store

_BATCH = 16
"""Documents that are read together; the text of each may have megabytes."""


class _Kept(NamedTuple):
    """What is kept of one generation of the store.

    Attributes:
        generation: The generation.
        sentences: By id.
        bytes: Of the sentences, by id.
    """

    generation: int
    sentences: dict[str, Sentences]
    bytes: dict[str, int]


class SentenceCache:
    """Reads the sentences of documents that are asked for, and keeps them in memory.

    Threads may share it: at worst, two of them read the same document.

    Args:
        store: The store.
        budget: The most bytes that are kept; beyond them, it begins anew.
    """

    def __init__(self, store: Store, budget: int) -> None:
        self._store, self._budget = store, budget
        self._kept = _Kept(-1, {}, {})
        self._last: list[str] = []

    def read(
        self, ids: Sequence[str], language: str | None, *, units: bool
    ) -> dict[str, Sentences]:
        """Return the sentences of documents by id; of those that exist.

        Args:
            ids: The documents.
            language: In which they are split, if the store has no sentence units.
            units: Whether a document without sentence units is left out.
        """
        kept = self._kept
        generation = self._store.generation
        if kept.generation != generation:
            kept = self._kept = _Kept(generation, {}, {})
        missing = [key for key in ids if key not in kept.sentences]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            records = self._store.get(part, units=True)
            if not units:
                having = {record.document.id for record in records}
                records += self._store.get([key for key in part if key not in having])
            for record in records:
                sentences = read_sentences(record.document, record.units, language)
                sentences = replace(sentences, revision=record.revision)
                kept.sentences[record.document.id] = sentences
        read = {key: kept.sentences[key] for key in ids if key in kept.sentences}
        # Those of the last call have grown meanwhile, by the runs that were asked of them.
        for key in (*self._last, *read):
            if key in kept.sentences:
                kept.bytes[key] = kept.sentences[key].bytes
        self._last = list(read)
        # A copy of the values: other threads may add to them.
        if sum(list(kept.bytes.values())) > self._budget:
            self._kept = _Kept(generation, {}, {})
        if units:
            return {key: each for key, each in read.items() if each.sums is not None}
        return read
