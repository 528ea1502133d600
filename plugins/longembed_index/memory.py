"""A store in memory: the shortest that does all that a store must, for tests and trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from longembed_index.errors import StoreError
from longembed_index.records import Match, Record
from longembed_index.similarity import cosine
from longembed_st.base.provenance import Provenance


class MemoryStore:
    """Records in a dictionary, gone with the process.

    Args:
        provenance: How its vectors are made.
        max_batch: The most records that it takes at once.
    """

    def __init__(self, provenance: Provenance, max_batch: int = 1000) -> None:
        self.provenance = provenance
        self.max_batch = max_batch
        self.records: dict[str, Record] = {}
        self._staged: MemoryStore | None = None
        self._kept: dict[str, dict[str, Record]] = {}

    def __len__(self) -> int:
        return len(self.records)

    def names(self) -> Iterator[tuple[str, str]]:
        """The id and the document's name of every record."""
        return iter([(record.id, record.name) for record in self.records.values()])

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records that exist among these."""
        return [self.records[key] for key in ids if key in self.records]

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those that exist and have one."""
        return {record.id: record.vector for record in self.get(ids) if record.vector is not None}

    def having(self, key: str, value: str) -> list[str]:
        """The ids of the records whose metadata has this value."""
        return [record.id for record in self.records.values() if record.metadata.get(key) == value]

    def write(self, records: Sequence[Record]) -> None:
        """Write records, all or none."""
        widths = {len(record.vector) for record in (*records, *list(self.records.values())[:1])}
        if len(records) > self.max_batch or len(widths) > 1:
            raise StoreError(f"cannot write {len(records)} vectors of the dimensions {widths}")
        self.records.update({record.id: record for record in records})

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records."""
        for key in ids:
            self.records.pop(key, None)

    def search(self, vector: Any, k: int) -> list[Match]:
        """The records most similar to a vector, the best first."""
        found = [Match(r.id, cosine(vector, r.vector), r.metadata) for r in self.records.values()]
        return sorted(found, key=lambda match: -match.score)[:k]

    def lost(self) -> list[str]:
        """Nothing: there are no files that could be damaged."""
        return []

    def staged(self) -> MemoryStore | None:
        """What `stage` has begun and no `switch` has ended."""
        return self._staged

    def stage(self, provenance: Provenance) -> MemoryStore:
        """Begin an empty store that is going to replace this one."""
        self._staged = MemoryStore(provenance, self.max_batch)
        return self._staged

    def switch(self) -> str:
        """Put what is staged in the place of this store."""
        if self._staged is None:
            raise StoreError("nothing is staged")
        kept = next(name for name in map("old{}".format, count(1)) if name not in self._kept)
        self._kept[kept] = self.records
        self.records, self.provenance = self._staged.records, self._staged.provenance
        self._staged = None
        return kept

    def drop_kept(self) -> list[str]:
        """Delete everything that `switch` has kept."""
        names = list(self._kept)
        self._kept.clear()
        return names
