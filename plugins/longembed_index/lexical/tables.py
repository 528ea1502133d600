"""The tables of a file of words, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from longembed_index.lexical.analyzer import LAST_CHARACTER, Tokens
from longembed_index.lexical.packing import (
    Lists,
    pack_starts,
    pack_terms,
    unpack_starts,
    unpack_terms,
)
from longembed_index.lexical.postings import (
    STATEMENTS,
    DocumentTerms,
    add_postings,
    read_occurrences,
    remove_postings,
    score_postings,
)
from longembed_index.lexical.scores import Floats, Integers, Terms, distinct, windows_of
from longembed_index.store.connections import read_schema

VERSION = 4
"""The version of the tables and of the analysis. A file of another version is built again."""

_TABLES = (
    "CREATE TABLE settings (edition TEXT NOT NULL, generation INTEGER, language TEXT)",
    "INSERT INTO settings VALUES (lower(hex(randomblob(8))), NULL, NULL)",
    "CREATE TABLE terms (number INTEGER PRIMARY KEY, term TEXT NOT NULL, "
    "documents INTEGER NOT NULL, passages INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX terms_by_term ON terms (term)",
    "CREATE TABLE documents (number INTEGER PRIMARY KEY, id TEXT NOT NULL, "
    "revision TEXT NOT NULL, length INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX documents_by_id ON documents (id)",
    # Apart from the documents, so that listing them reads no terms. `terms` are those to remove
    # a document by: each once.
    "CREATE TABLE document_terms (document INTEGER PRIMARY KEY, terms BLOB NOT NULL, "
    "starts BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE totals (documents INTEGER NOT NULL, length INTEGER NOT NULL, "
    "passages INTEGER NOT NULL, passage_length INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0, 0, 0)",
    *STATEMENTS,
)
LOOKED_UP = 1_000
"""So many documents of a filter are looked up; of more, the best are looked for among all."""

_VALUES_AT_ONCE = 500
"""Values in one statement."""
_MOST_TERMS = 256
_LISTS = 2
"""Candidates are found by the rarest terms of a query: by at most 256, whose lists are together no
longer than two lists of all documents; the frequent terms cost the time and decide little."""


class Settings(NamedTuple):
    """What a file of words says of itself.

    Attributes:
        edition: Drawn when the file was created; another one has other numbers of terms.
        generation: The generation of the store that it was made from; None while it is not ready.
        language: The language of the stemmer and the stop words; None without documents.
    """

    edition: str
    generation: int | None
    language: str | None


class DocumentTokens(NamedTuple):
    """What is stored of a document."""

    id: str
    revision: str
    tokens: Tokens


class TermCount(NamedTuple):
    """A term of the collection, and how many documents and passages contain it."""

    number: int
    term: str
    documents: int
    passages: int


class Totals(NamedTuple):
    """Numbers of documents and passages, each with the sum of their lengths in terms."""

    documents: int
    length: int
    passages: int
    passage_length: int


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables, in the transaction that is open; older ones of this version go."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (name,) in connection.execute(tables).fetchall():
        connection.execute(f"DROP TABLE {name}")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def has_schema(connection: sqlite3.Connection) -> bool:
    """Return whether a file has tables; False if it is empty.

    Raises:
        sqlite3.DatabaseError: If they are those of another version, or not ours.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    objects = read_schema(connection)
    if not objects and not version:
        return False
    if version != VERSION:
        raise sqlite3.DatabaseError(f"it has the format {version} instead of {VERSION}")
    if objects != sorted(s for s in _TABLES if s.startswith("CREATE")):
        raise sqlite3.DatabaseError("it has other tables than longembed-st makes")
    return True


def read_settings(connection: sqlite3.Connection) -> Settings:
    """Return what the file says of itself."""
    return Settings(*connection.execute("SELECT * FROM settings").fetchone())


def write_settings(connection: sqlite3.Connection, settings: Settings) -> None:
    """Replace what the file says of itself."""
    connection.execute("UPDATE settings SET edition = ?, generation = ?, language = ?", settings)


def read_totals(connection: sqlite3.Connection) -> Totals:
    """Return the totals of the collection."""
    return Totals(*connection.execute("SELECT * FROM totals").fetchone())


def read_revisions(
    connection: sqlite3.Connection, ids: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the revisions of documents by id; of all without `ids`."""
    query = "SELECT id, revision FROM documents"
    if ids is None:
        return dict(connection.execute(query).fetchall())
    return dict(select(connection, query, "id", ids))


def read_term_counts(connection: sqlite3.Connection, terms: Iterable[str]) -> list[TermCount]:
    """Return those of the terms that some document contains, by number."""
    query = "SELECT number, term, documents, passages FROM terms"
    rows = (TermCount(*row) for row in select(connection, query, "term", list(set(terms))))
    return sorted(row for row in rows if row.documents)


def read_pairs_with(connection: sqlite3.Connection, character: str) -> list[TermCount]:
    """Return terms that tell where a paired character stands: its most frequent pairs."""
    query = (
        "SELECT number, term, documents, passages FROM terms WHERE documents > 0 "
        "AND (term BETWEEN ? AND ? OR term = ?) ORDER BY documents DESC, number LIMIT ?"
    )
    last = LAST_CHARACTER + character
    values = (character, character + chr(0x10FFFF), last, _MOST_TERMS)
    return [TermCount(*row) for row in connection.execute(query, values)]


def read_documents(
    connection: sqlite3.Connection, ids: Sequence[str]
) -> tuple[list[str], Integers, Integers]:
    """Return ids of documents that exist, by number; their numbers, and their lengths in terms."""
    query = "SELECT number, id, length FROM documents"
    rows = sorted(select(connection, query, "id", ids))
    numbers = np.array([number for number, _, _ in rows], dtype=np.int64)
    lengths = np.array([length for _, _, length in rows], dtype=np.int64)
    return [document_id for _, document_id, _ in rows], numbers, lengths


def read_starts(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Terms]:
    """Return the first character of each term of documents, by id.

    Raises:
        sqlite3.DatabaseError: If they are damaged.
    """
    return {
        document.id: unpack_starts(document.starts)
        for document in _select_documents(connection, "id", ids)
    }


def find_candidates(
    connection: sqlite3.Connection,
    terms: Sequence[TermCount],
    weights: Floats,
    most: int,
    among: Collection[str] | None,
    lists: Lists,
) -> list[str]:
    """Return ids of documents that contain some of the terms, the likeliest first.

    Args:
        connection: To the file.
        terms: The terms.
        weights: The idf of each, times its count in the query, shape (terms,).
        most: How many documents.
        among: Only these documents; all without it. Many should be a set.
        lists: What was read of terms already, to which is added what is read now.
    """
    totals = read_totals(connection)
    by_rarity = np.argsort([term.documents for term in terms], kind="stable")
    together = np.cumsum([terms[index].documents for index in by_rarity])
    rare = by_rarity[: min(_MOST_TERMS, np.count_nonzero(together <= _LISTS * totals.documents))]

    def score(chosen: Integers) -> tuple[Integers, Floats]:
        average = totals.length / max(totals.documents, 1)
        numbers = [terms[index].number for index in chosen]
        return score_postings(connection, numbers, weights[chosen], average, lists)

    numbers, scores = score(rare)
    if len(numbers) < most and len(rare) < len(terms):
        numbers, scores = score(by_rarity)
    if among is not None and len(among) <= LOOKED_UP:
        query = "SELECT number FROM documents"
        inside = [number for (number,) in select(connection, query, "id", list(among))]
        kept = np.isin(numbers, inside)
        numbers, scores = numbers[kept], scores[kept]
        among = None
    size = most
    while True:
        best = _highest(scores, size)
        ids = dict(
            select(connection, "SELECT number, id FROM documents", "number", numbers[best].tolist())
        )
        by_score = sorted(
            (-score, ids[number])
            for number, score in zip(numbers[best].tolist(), scores[best].tolist(), strict=True)
            if among is None or ids[number] in among
        )
        if among is None or len(by_score) >= most or size >= len(numbers):
            return [document_id for _, document_id in by_score[:most]]
        size *= 4


def _highest(scores: Floats, most: int) -> Integers:
    """Return the places of the highest scores; all of equal ones, so that ids can decide."""
    if not 0 < most < len(scores):
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -most)[-most])


def insert_documents(
    connection: sqlite3.Connection,
    documents: Sequence[DocumentTokens],
    numbers: Mapping[str, int],
) -> None:
    """Store documents that are not there.

    Args:
        connection: To the file.
        documents: The documents.
        numbers: The numbers that some of them had before, by id.
    """
    terms = {term for document in documents for term in document.tokens.terms}
    term_numbers = _term_numbers(connection, sorted(terms))
    stored = []
    # A new document must not get the number of one that comes later and had it before.
    for document_id, revision, tokens in sorted(documents, key=lambda d: d.id not in numbers):
        number = connection.execute(
            "INSERT INTO documents (number, id, revision, length) VALUES (?, ?, ?, ?)",
            (numbers.get(document_id), document_id, revision, tokens.row),
        ).lastrowid
        assert number is not None
        text = np.array([term_numbers[term] for term in tokens.terms], dtype="<i4")
        packed = pack_terms(text)
        starts = pack_starts(tokens.starts)
        connection.execute(
            "INSERT INTO document_terms VALUES (?, ?, ?, ?)",
            (number, packed, starts, zlib.crc32(packed + starts)),
        )
        stored.append(DocumentTerms(number, text, tokens.row))
    if stored:
        add_postings(connection, stored)
        sizes = [len(document.terms) for document in stored]
        _count(
            connection,
            np.array([document.length for document in stored]),
            np.repeat(np.arange(len(stored)), sizes),
            np.concatenate([document.terms for document in stored]).astype(np.int64),
            np.concatenate([np.arange(size) for size in sizes]),
            sign=1,
        )


def delete_documents(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Delete the documents that are there, and return their numbers by id."""
    deleted = sorted(_select_documents(connection, "id", ids))
    if not deleted:
        return {}
    documents = [(document.number, unpack_terms(document.terms)) for document in deleted]
    numbers = np.array([document.number for document in deleted])
    every = distinct(np.concatenate([terms for _, terms in documents]))
    occurrences = read_occurrences(connection, every.tolist(), numbers)
    remove_postings(connection, documents)
    _count(
        connection,
        np.array([document.length for document in deleted]),
        np.searchsorted(numbers, occurrences.documents),
        every[occurrences.terms].astype(np.int64),
        occurrences.positions,
        sign=-1,
    )
    for number in numbers.tolist():
        connection.execute("DELETE FROM documents WHERE number = ?", (number,))
        connection.execute("DELETE FROM document_terms WHERE document = ?", (number,))
    return {document.id: document.number for document in deleted}


class _StoredDocument(NamedTuple):
    number: int
    id: str
    length: int
    terms: bytes
    starts: bytes


def _select_documents(
    connection: sqlite3.Connection, column: str, values: Sequence[Any]
) -> Iterator[_StoredDocument]:
    query = (
        "SELECT checksum, documents.number, id, length, terms, starts FROM documents "
        "JOIN document_terms ON document = documents.number"
    )
    for checksum, *row in select(connection, query, column, values):
        document = _StoredDocument(*row)
        if zlib.crc32(document.terms + document.starts) != checksum:
            raise sqlite3.DatabaseError(f"the terms of {document.id!r} are malformed")
        yield document


def select(
    connection: sqlite3.Connection, query: str, column: str, values: Sequence[Any]
) -> Iterator[Any]:
    """Yield the rows in which a column has one of some values."""
    for start in range(0, len(values), _VALUES_AT_ONCE):
        part = values[start : start + _VALUES_AT_ONCE]
        marks = ", ".join("?" * len(part))
        yield from connection.execute(f"{query} WHERE {column} IN ({marks})", part)


def _term_numbers(connection: sqlite3.Connection, terms: Sequence[str]) -> dict[str, int]:
    """Return the numbers of terms; terms that are not there yet are inserted."""
    connection.executemany(
        "INSERT OR IGNORE INTO terms (term, documents, passages) VALUES (?, 0, 0)",
        [(term,) for term in terms],
    )
    return dict(select(connection, "SELECT term, number FROM terms", "term", terms))


def _count(
    connection: sqlite3.Connection,
    lengths: Integers,
    owners: Integers,
    terms: Integers,
    positions: Integers,
    sign: int,
) -> None:
    """Count documents in, if the sign is 1, or out, if it is -1.

    `lengths` are those of the documents. Each occurrence of a term has its document in `owners`,
    the term in `terms`, and in `positions` which term of the document it is.
    """
    windows, indices, window_lengths = windows_of(lengths, owners, positions)
    # A term and a text as one number: each pair counts once.
    pairs = distinct(terms * len(lengths) + owners)
    numbers, documents = np.unique(pairs // len(lengths), return_counts=True)
    pairs = distinct(terms[indices] * len(window_lengths) + windows)
    in_passages, counts = np.unique(pairs // len(window_lengths), return_counts=True)
    # A term beside the row is in no passage.
    passages = np.zeros(len(numbers), dtype=np.int64)
    passages[np.searchsorted(numbers, in_passages)] = counts
    connection.executemany(
        "UPDATE terms SET documents = documents + ?, passages = passages + ? WHERE number = ?",
        zip((sign * documents).tolist(), (sign * passages).tolist(), numbers.tolist(), strict=True),
    )
    totals = [len(lengths), lengths.sum(), len(window_lengths), window_lengths.sum()]
    connection.execute(
        "UPDATE totals SET documents = documents + ?, length = length + ?, "
        "passages = passages + ?, passage_length = passage_length + ?",
        [sign * int(total) for total in totals],
    )
