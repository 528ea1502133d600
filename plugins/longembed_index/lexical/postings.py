"""Which documents have a term, how often, and where: lists in the file of words.

A list is cut into segments. Each commit appends one for the documents that it adds, and some of
the same size are joined to a larger one, so that lists are written in order and seldom rewritten,
and a term is found in few places. Documents of one segment have numbers of one block, which makes
their entries short, and joining them a concatenation.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.lexical.packing import (
    LIST_COLUMNS,
    POSITIONS,
    Lists,
    StoredList,
    read_lists,
    select_lists,
)
from longembed_index.lexical.scores import Floats, Integers, Terms, length_norms

STATEMENTS = (
    "CREATE TABLE segments (number INTEGER PRIMARY KEY, block INTEGER NOT NULL, "
    "level INTEGER NOT NULL, lengths BLOB NOT NULL)",
    # Positions come last: what reads only the entries leaves their pages alone.
    "CREATE TABLE postings (segment INTEGER NOT NULL, term INTEGER NOT NULL, "
    "width INTEGER NOT NULL, checksum INTEGER NOT NULL, entries BLOB NOT NULL, "
    "positions BLOB NOT NULL, "
    "PRIMARY KEY (segment, term)) WITHOUT ROWID",
)
"""Create the tables."""

_BLOCK = 1 << 16
"""Numbers of a block; the place of a document in its block takes two bytes."""
_MOST = 255
"""A term that a document has more often has several entries for it, one after the other."""
_ENTRY = np.dtype([("place", "<u2"), ("value", "u1")])
_LENGTH = np.dtype([("place", "<u2"), ("value", "<u4")])
_NO_TERM = np.iinfo(np.int64).max
_JOINED = 16
"""So many segments of a block and a level are joined to one of the next level."""


class DocumentTerms(NamedTuple):
    """The terms of a document, as numbers.

    Attributes:
        number: The number of the document.
        terms: In the order of the text, shape (terms,).
        length: How many of them stand in the row that a reader sees.
    """

    number: int
    terms: Terms
    length: int


class Postings(NamedTuple):
    """The documents that contain a term.

    Attributes:
        documents: Their numbers, shape (documents,).
        counts: How often each contains the term, shape (documents,).
    """

    documents: Integers
    counts: Integers


class Occurrences(NamedTuple):
    """Where terms occur; each array has shape (occurrences,).

    Attributes:
        documents: Numbers of documents.
        terms: Which of the terms that were asked for, as an index.
        positions: Which term of the document it is, counted from 0.
    """

    documents: Integers
    terms: Integers
    positions: Integers


def add_postings(connection: sqlite3.Connection, documents: Sequence[DocumentTerms]) -> None:
    """Add documents that are not there."""
    for block, group in _by_block(documents):
        places = np.array([document.number % _BLOCK for document in group])
        sizes = np.array([len(document.terms) for document in group])
        terms = np.concatenate([document.terms for document in group]).astype(np.int64)
        order = np.argsort(terms, kind="stable")
        owners = np.repeat(places, sizes)[order]
        positions = (np.arange(len(terms)) - np.repeat(np.cumsum(sizes) - sizes, sizes))[order]
        entries, entry_terms = _entries(terms[order], owners)
        distinct, firsts, counts = np.unique(terms[order], return_index=True, return_counts=True)
        bounds = np.searchsorted(entry_terms, [*distinct, _NO_TERM]).tolist()
        lists = [
            (term, _pack_list(entries[slice(*of_term)], positions[first : first + count]))
            for term, first, count, of_term in zip(
                distinct.tolist(),
                firsts.tolist(),
                counts.tolist(),
                itertools.pairwise(bounds),
                strict=True,
            )
        ]
        lengths = np.array([document.length for document in group])
        _insert_segment(connection, block, 0, _pack_lengths(places, lengths), lists)
        _join_segments(connection, block, 0)


def _entries(terms: Integers, owners: Integers) -> tuple[NDArray[np.void], Integers]:
    """Return the entries of terms with their owners, both sorted, and the term of each entry."""
    pairs, counts = np.unique(terms * _BLOCK + owners, return_counts=True)
    pieces = -(-counts // _MOST)
    pairs, last = np.repeat(pairs, pieces), np.cumsum(pieces) - 1
    entries = np.empty(len(pairs), _ENTRY)
    entries["place"], entries["value"] = pairs % _BLOCK, _MOST
    entries["value"][last] = counts - (pieces - 1) * _MOST
    return entries, pairs // _BLOCK


def _pack_list(entries: NDArray[np.void], positions: Integers) -> StoredList:
    width = 2 if positions.max() < 1 << 16 else 4
    return StoredList.of(width, entries.tobytes(), positions.astype(POSITIONS[width]).tobytes())


def remove_postings(connection: sqlite3.Connection, documents: Sequence[tuple[int, Terms]]) -> None:
    """Remove documents, each given with its number and the terms that it has, in any order."""
    by_block: dict[int, list[tuple[int, Terms]]] = {}
    for number, terms in documents:
        by_block.setdefault(number // _BLOCK, []).append((number % _BLOCK, terms))
    for block, group in by_block.items():
        places = np.array([place for place, _ in group])
        removed = np.zeros(_BLOCK, dtype=bool)
        removed[places] = True
        segments = connection.execute(
            "SELECT number, lengths FROM segments WHERE block = ?", (block,)
        ).fetchall()
        for segment, packed in segments:
            lengths = np.frombuffer(packed, _LENGTH)
            here = np.isin(places, lengths["place"])
            if not here.any():
                continue
            terms = np.unique(np.concatenate([group[n][1] for n in np.flatnonzero(here)]))
            _remove_from_lists(connection, segment, terms.tolist(), removed)
            left = lengths[~removed[lengths["place"]]].tobytes()
            if left:
                connection.execute(
                    "UPDATE segments SET lengths = ? WHERE number = ?", (left, segment)
                )
            else:
                connection.execute("DELETE FROM segments WHERE number = ?", (segment,))


def _remove_from_lists(
    connection: sqlite3.Connection, segment: int, terms: Sequence[int], removed: NDArray[np.bool_]
) -> None:
    rows = []
    for term, *stored in select_lists(connection, terms, LIST_COLUMNS, segment):
        of_term = StoredList(*stored)
        entries = np.frombuffer(of_term.entries, _ENTRY)
        kept = ~removed[entries["place"]]
        positions = of_term.unpacked()[np.repeat(kept, entries["value"])]
        left = StoredList.of(of_term.width, entries[kept].tobytes(), positions.tobytes())
        rows.append((*left[1:], segment, term))
    connection.executemany(
        "UPDATE postings SET checksum = ?, entries = ?, positions = ? "
        "WHERE segment = ? AND term = ?",
        [row for row in rows if row[1]],
    )
    connection.executemany(
        "DELETE FROM postings WHERE segment = ? AND term = ?",
        [row[3:] for row in rows if not row[1]],
    )


def read_postings(
    connection: sqlite3.Connection, terms: Sequence[int], lists: Lists | None = None
) -> list[Postings]:
    """Return the postings of each of some different terms.

    Args:
        connection: To the file.
        terms: Numbers of terms.
        lists: What was read already, to which is added what is read now; without it, only the
            entries are read.
    """
    parts: dict[int, list[tuple[int, bytes]]] = {term: [] for term in terms}
    if lists is None:
        for term, block, entries in select_lists(connection, terms, "block, entries"):
            parts[term].append((block, entries))
    else:
        read_lists(connection, terms, lists)
        parts = {term: [(block, each.entries) for block, each in lists[term]] for term in terms}
    return [_merged(*_unpack(_ENTRY, parts[term])) for term in terms]


def _merged(documents: Integers, counts: Integers) -> Postings:
    """Return postings with one entry for each document."""
    if not (counts == _MOST).any():
        return Postings(documents, counts)
    first = np.append(True, documents[1:] != documents[:-1])
    return Postings(documents[first], np.add.reduceat(counts, np.flatnonzero(first)))


def read_occurrences(
    connection: sqlite3.Connection,
    terms: Sequence[int],
    documents: Integers,
    lists: Lists | None = None,
) -> Occurrences:
    """Return where some documents have some different terms, in no order.

    Args:
        connection: To the file.
        terms: Numbers of terms.
        documents: Numbers of documents, shape (documents,).
        lists: What was read already, to which is added what is read now.
    """
    lists = {} if lists is None else lists
    read_lists(connection, terms, lists)
    blocks = int(documents.max(initial=0)) // _BLOCK + 1
    wanted = np.zeros((blocks, _BLOCK), dtype=bool)
    wanted.reshape(-1)[documents] = True
    parts = [Occurrences(*np.zeros((3, 0), dtype=np.int64))]
    of_terms = [(index, *each) for index, term in enumerate(terms) for each in lists[term]]
    for index, block, of_term in of_terms:
        if block >= blocks:
            continue
        entries = np.frombuffer(of_term.entries, _ENTRY)
        rows = np.flatnonzero(wanted[block][entries["place"]])
        if not len(rows):
            continue
        counts, numbers = entries["value"][rows].astype(np.int64), entries["place"][rows]
        firsts = np.cumsum(entries["value"], dtype=np.int64)[rows] - counts
        numbers = block * _BLOCK + numbers.astype(np.int64)
        # The places in the list of all positions: a range for each entry, one after the other.
        steps = np.repeat(firsts - (np.cumsum(counts) - counts), counts)
        places = steps + np.arange(len(steps))
        parts.append(
            Occurrences(
                np.repeat(numbers, counts),
                np.full(len(places), index, dtype=np.int64),
                of_term.unpacked()[places].astype(np.int64),
            )
        )
    return Occurrences(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def score_postings(
    connection: sqlite3.Connection,
    terms: Sequence[int],
    weights: Floats,
    average: float,
    lists: Lists | None = None,
) -> tuple[Integers, Floats]:
    """Return the numbers and the BM25 scores of all documents that contain some of the terms.

    Args:
        connection: To the file.
        terms: Numbers of terms.
        weights: The idf of each term, times its count in the query, shape (terms,).
        average: The average number of terms in a document.
        lists: The same as for `read_postings`.
    """
    documents, lengths = read_lengths(connection)
    size = int(documents.max(initial=0)) + 1
    norms, scores = np.zeros(size), np.zeros(size)
    norms[documents] = length_norms(lengths.astype(np.float64), average)
    for weight, postings in zip(weights, read_postings(connection, terms, lists), strict=True):
        counts = postings.counts.astype(np.float64)
        scores[postings.documents] += weight * counts / (counts + norms[postings.documents])
    matching = np.flatnonzero(scores)
    return matching, scores[matching]


def read_lengths(connection: sqlite3.Connection) -> tuple[Integers, Integers]:
    """Return the numbers of all documents, and the length of each."""
    return _unpack(_LENGTH, connection.execute("SELECT block, lengths FROM segments").fetchall())


def _insert_segment(
    connection: sqlite3.Connection,
    block: int,
    level: int,
    lengths: bytes,
    lists: Iterable[tuple[int, StoredList]],
) -> None:
    segment = connection.execute(
        "INSERT INTO segments (block, level, lengths) VALUES (?, ?, ?)", (block, level, lengths)
    ).lastrowid
    connection.executemany(
        "INSERT INTO postings VALUES (?, ?, ?, ?, ?, ?)",
        ((segment, term, *of_term) for term, of_term in lists),
    )


def _join_segments(connection: sqlite3.Connection, block: int, level: int) -> None:
    segments = connection.execute(
        "SELECT number, lengths FROM segments WHERE block = ? AND level = ?", (block, level)
    ).fetchall()
    if len(segments) < _JOINED:
        return
    numbers = ", ".join(str(number) for number, _ in segments)
    rows = connection.execute(
        f"SELECT term, {LIST_COLUMNS} FROM postings WHERE segment IN ({numbers}) ORDER BY term"
    ).fetchall()
    lists = [
        (term, _joined([StoredList(*stored) for _, *stored in group]))
        for term, group in itertools.groupby(rows, key=itemgetter(0))
    ]
    connection.execute(f"DELETE FROM postings WHERE segment IN ({numbers})")
    connection.execute(f"DELETE FROM segments WHERE number IN ({numbers})")
    _insert_segment(
        connection, block, level + 1, b"".join(lengths for _, lengths in segments), lists
    )
    _join_segments(connection, block, level + 1)


def _joined(lists: list[StoredList]) -> StoredList:
    width = max(each.width for each in lists)
    positions = [each.unpacked().astype(POSITIONS[width]).tobytes() for each in lists]
    return StoredList.of(width, b"".join(each.entries for each in lists), b"".join(positions))


def _by_block(documents: Sequence[DocumentTerms]) -> Iterator[tuple[int, list[DocumentTerms]]]:
    """Yield each block that the documents are in, and its documents in order."""

    def block_of(document: DocumentTerms) -> int:
        return document.number // _BLOCK

    ordered = sorted(documents, key=lambda document: document.number)
    for block, group in itertools.groupby(ordered, key=block_of):
        yield block, list(group)


def _pack_lengths(places: Integers, lengths: Integers) -> bytes:
    packed = np.empty(len(places), _LENGTH)
    packed["place"], packed["value"] = places, lengths
    return packed.tobytes()


def _unpack(
    kind: np.dtype[np.void], parts: Sequence[tuple[int, bytes]]
) -> tuple[Integers, Integers]:
    """Return numbers of documents, and the values stored with them."""
    packed = np.frombuffer(b"".join(part for _, part in parts), kind)
    sizes = [len(part) // kind.itemsize for _, part in parts]
    firsts = np.repeat(np.array([block * _BLOCK for block, _ in parts], dtype=np.int64), sizes)
    return firsts + packed["place"], packed["value"].astype(np.int64)
