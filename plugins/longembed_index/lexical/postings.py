"""Which documents have a term, and how often: lists in the file of words, to find candidates by.

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

from longembed_index.lexical.scores import Floats, Integers, Terms, length_norms

STATEMENTS = (
    "CREATE TABLE segments (number INTEGER PRIMARY KEY, block INTEGER NOT NULL, "
    "level INTEGER NOT NULL, lengths BLOB NOT NULL)",
    "CREATE TABLE postings (segment INTEGER NOT NULL, term INTEGER NOT NULL, "
    "entries BLOB NOT NULL, PRIMARY KEY (segment, term)) WITHOUT ROWID",
)
"""Create the tables."""

_BLOCK = 1 << 16
"""Numbers of a block; the place of a document in its block takes two bytes."""
_ENTRY = np.dtype([("place", "<u2"), ("value", "u1")])
_LENGTH = np.dtype([("place", "<u2"), ("value", "<u4")])
_JOINED = 16
"""So many segments of a block and a level are joined to one of the next level."""

_TERMS_AT_ONCE = 500
"""Values in one statement."""


class Postings(NamedTuple):
    """The documents that contain a term.

    Attributes:
        documents: Their numbers, shape (documents,).
        counts: How often each contains the term, at most 255, shape (documents,).
    """

    documents: Integers
    counts: Floats


def add_postings(connection: sqlite3.Connection, documents: Sequence[tuple[int, Terms]]) -> None:
    """Add documents that are not there, each with its number and its terms."""
    for block, places, texts in _by_block(documents):
        lengths = np.array([len(text) for text in texts])
        terms = np.concatenate(texts).astype(np.int64)
        pairs, counts = np.unique(terms * _BLOCK + np.repeat(places, lengths), return_counts=True)
        entries = _pack(_ENTRY, pairs % _BLOCK, np.minimum(counts, 255))
        distinct, firsts = np.unique(pairs // _BLOCK, return_index=True)
        bounds = (_ENTRY.itemsize * np.append(firsts, len(pairs))).tolist()
        lists = [
            (term, entries[first:end])
            for term, (first, end) in zip(
                distinct.tolist(), itertools.pairwise(bounds), strict=True
            )
        ]
        _insert_segment(connection, block, 0, _pack(_LENGTH, places, lengths), lists)
        _join_segments(connection, block, 0)


def remove_postings(connection: sqlite3.Connection, documents: Sequence[tuple[int, Terms]]) -> None:
    """Remove documents, each given with its number and its terms."""
    for block, places, texts in _by_block(documents):
        removed = np.zeros(_BLOCK, dtype=bool)
        removed[places] = True
        segments = connection.execute(
            "SELECT number, lengths FROM segments WHERE block = ?", (block,)
        ).fetchall()
        for segment, lengths in segments:
            here = np.isin(places, np.frombuffer(lengths, _LENGTH)["place"])
            if not here.any():
                continue
            terms = np.unique(np.concatenate(list(itertools.compress(texts, here))))
            _remove_from_lists(connection, segment, terms.tolist(), removed)
            left = _without(_LENGTH, lengths, removed)
            if left:
                connection.execute(
                    "UPDATE segments SET lengths = ? WHERE number = ?", (left, segment)
                )
            else:
                connection.execute("DELETE FROM segments WHERE number = ?", (segment,))


def _remove_from_lists(
    connection: sqlite3.Connection, segment: int, terms: Sequence[int], removed: NDArray[np.bool_]
) -> None:
    rows = _select_entries(connection, terms, "segments.number = ?", (segment,))
    lists = [(_without(_ENTRY, entries, removed), segment, term) for term, _, entries in rows]
    connection.executemany(
        "UPDATE postings SET entries = ? WHERE segment = ? AND term = ?",
        [row for row in lists if row[0]],
    )
    connection.executemany(
        "DELETE FROM postings WHERE segment = ? AND term = ?",
        [row[1:] for row in lists if not row[0]],
    )


def read_postings(connection: sqlite3.Connection, terms: Sequence[int]) -> list[Postings]:
    """Return the postings of each of some terms."""
    lists: dict[int, list[tuple[int, bytes]]] = {term: [] for term in terms}
    for term, block, entries in _select_entries(connection, terms):
        lists[term].append((block, entries))
    return [Postings(*_unpack(_ENTRY, lists[term])) for term in terms]


def _select_entries(
    connection: sqlite3.Connection,
    terms: Sequence[int],
    condition: str = "TRUE",
    values: tuple[int, ...] = (),
) -> list[tuple[int, int, bytes]]:
    """Return term, block and entries, of all segments or some."""
    rows = []
    for start in range(0, len(terms), _TERMS_AT_ONCE):
        part = terms[start : start + _TERMS_AT_ONCE]
        # The order of the joins is stated, as SQLite would read whole segments.
        rows += connection.execute(
            f"WITH wanted (term) AS (VALUES {', '.join(['(?)'] * len(part))}) "
            "SELECT wanted.term, block, entries "
            "FROM wanted CROSS JOIN segments CROSS JOIN postings "
            f"ON segment = segments.number AND postings.term = wanted.term WHERE {condition}",
            (*part, *values),
        ).fetchall()
    return rows


def score_postings(
    connection: sqlite3.Connection, terms: Sequence[int], weights: Floats, average: float
) -> tuple[Integers, Floats]:
    """Return the numbers and the BM25 scores of all documents that contain some of the terms.

    Args:
        connection: To the file.
        terms: Numbers of terms.
        weights: The idf of each term, times its count in the query, shape (terms,).
        average: The average number of terms in a document.
    """
    rows = connection.execute("SELECT block, lengths FROM segments").fetchall()
    documents, lengths = _unpack(_LENGTH, rows)
    size = int(documents.max(initial=0)) + 1
    norms, scores = np.zeros(size), np.zeros(size)
    norms[documents] = length_norms(lengths, average)
    for weight, postings in zip(weights, read_postings(connection, terms), strict=True):
        counts = postings.counts
        scores[postings.documents] += weight * counts / (counts + norms[postings.documents])
    matching = np.flatnonzero(scores)
    return matching, scores[matching]


def _insert_segment(
    connection: sqlite3.Connection,
    block: int,
    level: int,
    lengths: bytes,
    lists: Iterable[tuple[int, bytes]],
) -> None:
    segment = connection.execute(
        "INSERT INTO segments (block, level, lengths) VALUES (?, ?, ?)", (block, level, lengths)
    ).lastrowid
    connection.executemany(
        "INSERT INTO postings VALUES (?, ?, ?)",
        ((segment, term, entries) for term, entries in lists),
    )


def _join_segments(connection: sqlite3.Connection, block: int, level: int) -> None:
    segments = connection.execute(
        "SELECT number, lengths FROM segments WHERE block = ? AND level = ?", (block, level)
    ).fetchall()
    if len(segments) < _JOINED:
        return
    numbers = ", ".join(str(number) for number, _ in segments)
    rows = connection.execute(
        f"SELECT term, entries FROM postings WHERE segment IN ({numbers}) ORDER BY term"
    ).fetchall()
    lists = [
        (term, b"".join(entries for _, entries in group))
        for term, group in itertools.groupby(rows, key=itemgetter(0))
    ]
    connection.execute(f"DELETE FROM postings WHERE segment IN ({numbers})")
    connection.execute(f"DELETE FROM segments WHERE number IN ({numbers})")
    _insert_segment(
        connection, block, level + 1, b"".join(lengths for _, lengths in segments), lists
    )
    _join_segments(connection, block, level + 1)


def _by_block(
    documents: Sequence[tuple[int, Terms]],
) -> Iterator[tuple[int, Integers, list[Terms]]]:
    """Yield each block that the documents are in, their places there, and their terms."""
    for block, group in itertools.groupby(sorted(documents, key=_block), key=_block):
        numbers, texts = zip(*group, strict=True)
        yield block, np.array(numbers, dtype=np.int64) % _BLOCK, list(texts)


def _block(document: tuple[int, Terms]) -> int:
    return document[0] // _BLOCK


def _pack(kind: np.dtype[np.void], places: Integers, values: Integers) -> bytes:
    packed = np.empty(len(places), kind)
    packed["place"], packed["value"] = places, values
    return packed.tobytes()


def _unpack(kind: np.dtype[np.void], parts: Sequence[tuple[int, bytes]]) -> tuple[Integers, Floats]:
    """Return numbers of documents, and the values stored with them."""
    packed = np.frombuffer(b"".join(part for _, part in parts), kind)
    sizes = [len(part) // kind.itemsize for _, part in parts]
    firsts = np.repeat(np.array([block * _BLOCK for block, _ in parts], dtype=np.int64), sizes)
    return firsts + packed["place"], packed["value"].astype(np.float64)


def _without(kind: np.dtype[np.void], part: bytes, removed: NDArray[np.bool_]) -> bytes:
    packed = np.frombuffer(part, kind)
    return packed[~removed[packed["place"]]].tobytes()
