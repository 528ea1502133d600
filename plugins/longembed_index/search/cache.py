"""The sentences of documents, kept from one query to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from longembed_index.search.sentences import Sentences, read_sentences

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store

_BATCH = 16
"""Documents that are read together; the text of each may have megabytes."""


class SentenceCache:
    """Reads the sentences of documents that are asked for, and keeps them in memory.

    Threads may share it: at worst, two of them read the same document.

    Args:
        store: The store.
        budget: The most bytes that are kept; beyond them, it begins anew.
    """

    def __init__(self, store: Store, budget: int) -> None:
        self._store, self._budget = store, budget
        self._kept: tuple[int, dict[str, Sentences]] = (-1, {})

    def read(
        self, ids: Sequence[str], language: str | None, *, units: bool
    ) -> dict[str, Sentences]:
        """Return the sentences of documents by id; of those that exist.

        Args:
            ids: The documents.
            language: In which they are split, if the store has no sentence units.
            units: Whether a document without sentence units is left out.
        """
        generation = self._store.generation
        if self._kept[0] != generation:
            self._kept = (generation, {})
        kept = self._kept[1]
        missing = [key for key in ids if key not in kept]
        for start in range(0, len(missing), _BATCH):
            part = missing[start : start + _BATCH]
            stored = dict(self._store.units(part))
            for record in self._store.get([key for key in part if key in stored or not units]):
                document = record.document
                kept[document.id] = read_sentences(document, stored.get(document.id), language)
        sentences = {key: kept[key] for key in ids if key in kept}
        # A copy of the values: other threads may add to them.
        if sum(each.bytes for each in list(kept.values())) > self._budget:
            self._kept = (generation, {})
        if units:
            return {key: each for key, each in sentences.items() if each.sums is not None}
        return sentences
