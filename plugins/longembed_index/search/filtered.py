"""The documents that meet a filter: asked of the store, or of fields that are kept in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.store.filters import check_where, is_comparable, matcher
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.document import Entry
    from longembed_index.store.protocol import Store, Where

_KEPT = 32
"""Filters whose documents are remembered until the store changes."""

_SCANS = 3
"""After so many filters of a generation, all fields are kept: reading them takes about as long."""

MOST_DOCUMENTS = 500_000
"""The fields of more documents are not kept: they would take hundreds of megabytes."""

_UNIQUE = frozenset({"id", "source", "content_hash"})
"""Fields in which every document has another value: they are left to the store."""


def check_keys(store: Store, where: Where) -> None:
    """Raise `ConfigError` if no document has a field of a filter, or has it in its type."""
    known: set[str] = set()
    comparable: set[str] = set()
    for entry in store.entries():
        fields = entry.fields
        known |= fields.keys()
        comparable |= {k for k in where.keys() & fields if is_comparable(fields[k], where[k])}
    unknown = sorted(where.keys() - known)
    if unknown and known:
        raise ConfigError(
            f"no document has the field {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    mixed = sorted(where.keys() - comparable)
    if mixed and known:
        raise ConfigError(
            f"the filter of {mixed[0]!r} is {where[mixed[0]]!r:.80}, but no document has such a "
            "value there: strings are compared with strings, and numbers with numbers"
        )


class FilteredDocuments:
    """Finds the documents of a store that meet a filter; threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: tuple[int, dict[str, Set[str]]] = (-1, {})
        self._fields: tuple[int, Fields] | None = None
        self._scans: tuple[int, int] = (-1, 0)

    def select(self, where: Where) -> Set[str]:
        """Return ids of the documents that meet a filter, in their order; of all with an empty one.

        Raises:
            ConfigError: If a condition cannot be understood.
        """
        check_where(where)
        generation, key, kept = self._store.generation, repr(where), self._kept
        if kept[0] != generation or len(kept[1]) >= _KEPT:
            kept = self._kept = (generation, {})
        if key not in kept[1]:
            kept[1][key] = dict.fromkeys(self._find(where, generation)).keys()
        return kept[1][key]

    def _find(self, where: Where, generation: int) -> list[str]:
        fields = self._fields
        if not where or not _UNIQUE.isdisjoint(where):
            return [entry.id for entry in self._store.entries(where)]
        if fields is None or fields[0] != generation:
            scans = self._scans[1] if self._scans[0] == generation else 0
            if scans < _SCANS or len(self._store) > MOST_DOCUMENTS:
                self._scans = (generation, scans + 1)
                return [entry.id for entry in self._store.entries(where)]
            self._fields = fields = (generation, Fields(self._store.entries()))
        return fields[1].select(where)


class Fields:
    """The fields of documents: a column for each, with its values and who has which."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._ids: list[str] = []
        self._columns: dict[str, _Column] = {}
        for row, entry in enumerate(entries):
            self._ids.append(entry.id)
            for key, value in entry.fields.items():
                if key not in _UNIQUE:
                    self._columns.setdefault(key, _Column()).add(row, value)

    def select(self, where: Where) -> list[str]:
        """Return ids of the documents that meet a filter, in the order of the entries."""
        chosen = np.ones(len(self._ids), dtype=bool)
        for key, condition in where.items():
            meets = np.zeros(len(self._ids), dtype=bool)
            if key in self._columns:
                meets[self._columns[key].rows_that_meet(condition)] = True
            chosen &= meets
        return [self._ids[row] for row in np.flatnonzero(chosen).tolist()]


class _Column:
    def __init__(self) -> None:
        self._values: list[Any] = []
        # By `repr`: 1, 1.0 and True are equal, and a list cannot be looked up.
        self._numbers: dict[str, int] = {}
        self._rows, self._number_of_row = array("i"), array("i")

    def add(self, row: int, value: Any) -> None:
        number = self._numbers.setdefault(repr(value), len(self._values))
        if number == len(self._values):
            self._values.append(value)
        self._rows.append(row)
        self._number_of_row.append(number)

    def rows_that_meet(self, condition: Any) -> NDArray[np.int32]:
        meets_condition = matcher({"": condition})
        meets = [meets_condition({"": value}) for value in self._values]
        return np.array(self._rows)[np.array(meets)[np.array(self._number_of_row)]]
