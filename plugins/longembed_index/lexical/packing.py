"""What the file of words stores as bytes: the lists of terms, and the terms of documents."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.lexical.scores import Terms, distinct

POSITIONS: dict[int, np.dtype[Any]] = {2: np.dtype("<u2"), 4: np.dtype("<u4")}
"""By the bytes of each position; a list has four only if a position needs more than two."""

LIST_COLUMNS = "width, checksum, entries, positions"

_TERMS_AT_ONCE = 500
"""Values in one statement."""

_LARGE = 255
"""Stands for a step that does not fit into a byte."""


def pack_terms(terms: Terms) -> bytes:
    """Pack each of some terms once."""
    return zlib.compress(np.diff(distinct(terms), prepend=0).astype("<i4").tobytes(), level=1)


def unpack_terms(packed: bytes) -> Terms:
    """Return the terms, ascending."""
    return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i4"), dtype=np.int32)


def pack_starts(starts: Terms) -> bytes:
    """Pack the steps from each start to the next: a byte each, and large ones before them."""
    steps = np.diff(starts, prepend=np.int32(0)).astype("<i4")
    large = steps[(steps < 0) | (steps >= _LARGE)]
    steps[(steps < 0) | (steps >= _LARGE)] = _LARGE
    return np.array([len(large)], "<i4").tobytes() + large.tobytes() + steps.astype("u1").tobytes()


def unpack_starts(packed: bytes) -> Terms:
    """Return the starts, shape (terms,)."""
    count = int(np.frombuffer(packed, "<i4", 1)[0])
    steps = np.frombuffer(packed, "u1", offset=4 + 4 * count).astype(np.int32)
    steps[steps == _LARGE] = np.frombuffer(packed, "<i4", count, offset=4)
    return np.cumsum(steps, dtype=np.int32)


def _checksum(entries: bytes, positions: bytes) -> int:
    """Return the checksum of both together, without a copy of them."""
    return zlib.crc32(positions, zlib.crc32(entries))


class StoredList(NamedTuple):
    """The list of a term in a segment, as it is stored."""

    width: int
    checksum: int
    entries: bytes
    positions: bytes

    @classmethod
    def of(cls, width: int, entries: bytes, positions: bytes) -> StoredList:
        """Return a list with its checksum."""
        return cls(width, _checksum(entries, positions), entries, positions)

    def unpacked(self) -> NDArray[np.unsignedinteger[Any]]:
        """Return the positions; raise `sqlite3.DatabaseError` if the list is damaged."""
        if _checksum(self.entries, self.positions) != self.checksum:
            raise sqlite3.DatabaseError("a list of a term is malformed")
        return np.frombuffer(self.positions, POSITIONS[self.width])


Lists = dict[int, list[tuple[int, StoredList]]]
"""By term, its lists in all segments, each with the block of its documents."""


def select_lists(
    connection: sqlite3.Connection,
    terms: Sequence[int],
    columns: str,
    segment: int | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Yield a term and some columns of its lists, of all segments or one."""
    condition, values = ("TRUE", ()) if segment is None else ("segments.number = ?", (segment,))
    for start in range(0, len(terms), _TERMS_AT_ONCE):
        part = terms[start : start + _TERMS_AT_ONCE]
        # The order of the joins is stated, as SQLite would read whole segments. Fetched before
        # the caller changes the table.
        yield from connection.execute(
            f"WITH wanted (term) AS (VALUES {', '.join(['(?)'] * len(part))}) "
            f"SELECT wanted.term, {columns} "
            "FROM wanted CROSS JOIN segments CROSS JOIN postings "
            f"ON segment = segments.number AND postings.term = wanted.term WHERE {condition}",
            (*part, *values),
        ).fetchall()


def read_lists(connection: sqlite3.Connection, terms: Sequence[int], lists: Lists) -> None:
    """Add the lists of terms that are not among some lists yet."""
    missing = [term for term in terms if term not in lists]
    lists.update({term: [] for term in missing})
    for term, block, *stored in select_lists(connection, missing, f"block, {LIST_COLUMNS}"):
        lists[term].append((block, StoredList(*stored)))
