"""A store in memory: the shortest that does all that a store must, for tests and trials."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Entry, Record
from longembed_index.errors import StoreError
from longembed_index.store.filters import matcher
from longembed_index.store.protocol import StoreInfo, Where
from longembed_index.store.vectors import nearest_vectors, record_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.document import Units


def entry_of(record: Record) -> Entry:
    """Return what a store tells of a record without its text and vectors."""
    document, coverage = record.document, record.coverage
    return Entry(
        document.id,
        document.title,
        document.metadata,
        record.content_hash,
        len(document.text),
        coverage.tokens,
        coverage.read,
        coverage.passes,
        coverage.unknown,
        record.left_out,
    )


def _units_of(record: Record) -> Units | None:
    return record.units if record.units is not None and len(record.units.ranges) else None


class MemoryStore:
    """Records in a dictionary, gone with the process."""

    def __init__(self, info: StoreInfo) -> None:
        self.info = info
        self.generation = 0
        self._records: dict[str, Record] = {}
        self._staged: MemoryStore | None = None
        self._replaced: dict[str, dict[str, Record]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def update_info(self, info: StoreInfo) -> None:
        """Replace the description of the store."""
        self.info = info
        self.generation += 1

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        """Add or replace records, and delete others."""
        # A new dictionary: threads that read go on with the old one.
        changed = dict(self._records)
        for document_id in delete:
            changed.pop(document_id, None)
        if records:
            others = next(iter(self._records.values()), records[0])
            vectors = record_vectors(records, len(others.vector))
            for record, vector in zip(records, vectors, strict=True):
                changed[record.document.id] = replace(record, vector=vector)
        self._records = changed
        self.generation += 1

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[Record]:
        """Return the records with these ids, in their order, or those with units, with them."""
        records = self._select(ids)
        if units:
            return [record for record in records if _units_of(record) is not None]
        return [replace(record, units=None) for record in records]

    def entries(self, where: Where | None = None) -> Iterator[Entry]:
        """Yield what is known of every document that meets a filter, sorted by id."""
        meets = matcher(where or {})
        yield from (entry for entry in map(entry_of, self._select(None)) if meets(entry.fields))

    def vectors(self, ids: Sequence[str] | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit vectors; of all without `ids`."""
        records = self._select(ids)
        if not records:
            return [], np.empty((0, 0), dtype=np.float32)
        return [record.document.id for record in records], np.stack([r.vector for r in records])

    def units(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Units]]:
        """Yield the units of documents that have any; of all without `ids`."""
        for record in self._select(ids):
            units = _units_of(record)
            if units is not None:
                yield record.document.id, units

    def nearest(
        self, vector: NDArray[np.float32], k: int, where: Where | None = None
    ) -> list[tuple[str, float]]:
        """Return ids and cosine similarities of the k nearest documents, best first."""
        ids, vectors = self.vectors([entry.id for entry in self.entries(where)])
        return nearest_vectors(ids, vectors, vector, k)

    def lexical(self) -> None:
        """Return None: words are kept beside the store."""

    def stage(self, info: StoreInfo) -> MemoryStore:
        """Begin an empty store that is going to replace this one."""
        self._staged = MemoryStore(info)
        return self._staged

    def staged(self) -> MemoryStore | None:
        """Return what `stage` began and `switch` has not ended."""
        return self._staged

    def switch(self) -> str:
        """Put the staged store in the place of this one; return the old one's name."""
        if self._staged is None:
            raise StoreError("no store is staged. Begin one with stage()")
        name = f"replaced-{len(self._replaced) + 1}"
        self._replaced[name] = self._records
        self._records, self.info = self._staged._records, self._staged.info
        self._staged = None
        self.generation += 1
        return name

    def drop_replaced(self) -> list[str]:
        """Delete the stores that `switch` has replaced, and return their names."""
        names = list(self._replaced)
        self._replaced.clear()
        return names

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _select(self, ids: Sequence[str] | None) -> list[Record]:
        records = self._records
        return [records[key] for key in (sorted(records) if ids is None else ids) if key in records]
