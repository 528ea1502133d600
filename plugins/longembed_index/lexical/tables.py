"""The tables of a file of words, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from longembed_index.lexical.analyzer import Tokens
from longembed_index.lexical.postings import (
    STATEMENTS,
    add_postings,
    read_postings,
    remove_postings,
    score_postings,
)
from longembed_index.lexical.scores import Floats, Integers, Terms, windows_of

VERSION = 2
"""Of the tables and of the analysis: a file of another version is built again."""

_TABLES = (
    "CREATE TABLE settings (edition TEXT NOT NULL, generation INTEGER, language TEXT)",
    "INSERT INTO settings VALUES (lower(hex(randomblob(8))), NULL, NULL)",
    "CREATE TABLE terms (number INTEGER PRIMARY KEY, term TEXT NOT NULL, "
    "documents INTEGER NOT NULL, passages INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX terms_by_term ON terms (term)",
    "CREATE TABLE documents (number INTEGER PRIMARY KEY, id TEXT NOT NULL, "
    "content_hash TEXT NOT NULL)",
    "CREATE UNIQUE INDEX documents_by_id ON documents (id)",
    # Apart from the documents, so that listing them reads no terms.
    "CREATE TABLE document_terms (document INTEGER PRIMARY KEY, terms BLOB NOT NULL, "
    "starts BLOB NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE TABLE totals (documents INTEGER NOT NULL, length INTEGER NOT NULL, "
    "passages INTEGER NOT NULL, passage_length INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0, 0, 0)",
    *STATEMENTS,
)
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
    content_hash: str
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
        sqlite3.DatabaseError: If they are those of another version.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise sqlite3.DatabaseError(f"it has the format {version} instead of {VERSION}")
    return bool(version == VERSION)


def read_settings(connection: sqlite3.Connection) -> Settings:
    """Return what the file says of itself."""
    return Settings(*connection.execute("SELECT * FROM settings").fetchone())


def write_settings(connection: sqlite3.Connection, settings: Settings) -> None:
    """Replace what the file says of itself."""
    connection.execute("UPDATE settings SET edition = ?, generation = ?, language = ?", settings)


def read_totals(connection: sqlite3.Connection) -> Totals:
    """Return the totals of the collection."""
    return Totals(*connection.execute("SELECT * FROM totals").fetchone())


def read_content_hashes(
    connection: sqlite3.Connection, ids: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the content hashes of documents by id; of all without `ids`."""
    query = "SELECT id, content_hash FROM documents"
    if ids is None:
        return dict(connection.execute(query).fetchall())
    return dict(select(connection, query, "id", ids))


def read_term_counts(connection: sqlite3.Connection, terms: Iterable[str]) -> list[TermCount]:
    """Return those of the terms that some document contains, by number."""
    query = "SELECT number, term, documents, passages FROM terms"
    rows = (TermCount(*row) for row in select(connection, query, "term", list(set(terms))))
    return sorted(row for row in rows if row.documents)


def read_document_terms(
    connection: sqlite3.Connection, ids: Sequence[str]
) -> Iterator[tuple[str, Terms, bytes]]:
    """Yield id, terms, and packed starts of documents.

    Raises:
        sqlite3.DatabaseError: If they are damaged.
    """
    for _, document_id, terms, starts in _select_documents(connection, "id", ids):
        yield document_id, terms, starts


def unpack_starts(packed: bytes) -> Terms:
    """Return the first character of each term."""
    return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i4"), dtype=np.int32)


def find_candidates(
    connection: sqlite3.Connection,
    terms: Sequence[TermCount],
    weights: Floats,
    most: int,
    among: Sequence[str] | None,
) -> list[str]:
    """Return ids of documents that contain some of the terms, the likeliest first.

    Args:
        connection: To the file.
        terms: The terms.
        weights: The idf of each, times its count in the query, shape (terms,).
        most: How many documents.
        among: Only these documents; all without it.
    """
    totals = read_totals(connection)
    by_rarity = np.argsort([term.documents for term in terms], kind="stable")
    together = np.cumsum([terms[index].documents for index in by_rarity])
    rare = by_rarity[: min(_MOST_TERMS, np.count_nonzero(together <= _LISTS * totals.documents))]

    def score(chosen: Integers) -> tuple[Integers, Floats]:
        average = totals.length / max(totals.documents, 1)
        numbers = [terms[index].number for index in chosen]
        return score_postings(connection, numbers, weights[chosen], average)

    numbers, scores = score(rare)
    if len(numbers) < most and len(rare) < len(terms):
        numbers, scores = score(by_rarity)
    if among is not None:
        query = "SELECT number FROM documents"
        inside = [number for (number,) in select(connection, query, "id", among)]
        kept = np.isin(numbers, inside)
        numbers, scores = numbers[kept], scores[kept]
    if len(numbers) > most > 0:
        # Of equal scores all are kept, so that ids decide and not the order of writing.
        best = scores >= np.partition(scores, -most)[-most]
        numbers, scores = numbers[best], scores[best]
    ids = dict(select(connection, "SELECT number, id FROM documents", "number", numbers.tolist()))
    by_score = sorted(
        (-score, ids[number]) for number, score in zip(numbers.tolist(), scores, strict=True)
    )
    return [document_id for _, document_id in by_score[:most]]


def find_phrase(connection: sqlite3.Connection, terms: Sequence[str]) -> set[str]:
    """Return ids of documents that have the terms in a row."""
    known = {count.term: count.number for count in read_term_counts(connection, terms)}
    if not all(term in known for term in terms):
        return set()
    lists = read_postings(connection, list(known.values()))
    numbers = reduce(np.intersect1d, [postings.documents for postings in lists]).tolist()
    if len(terms) == 1:
        query = "SELECT id FROM documents"
        return {document_id for (document_id,) in select(connection, query, "number", numbers)}
    phrase = np.array([known[term] for term in terms], dtype="<i4").tobytes()
    return {
        document.id
        for document in _select_documents(connection, "documents.number", numbers)
        if _contains(document.terms.tobytes(), phrase)
    }


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
    for document_id, content_hash, tokens in documents:
        number = connection.execute(
            "INSERT INTO documents (number, id, content_hash) VALUES (?, ?, ?)",
            (numbers.get(document_id), document_id, content_hash),
        ).lastrowid
        assert number is not None
        text = np.array([term_numbers[term] for term in tokens.terms], dtype="<i4")
        packed = text.tobytes()
        steps = np.diff(tokens.starts, prepend=np.int32(0))
        starts = zlib.compress(steps.astype("<i4").tobytes(), level=1)
        connection.execute(
            "INSERT INTO document_terms VALUES (?, ?, ?, ?)",
            (number, packed, starts, zlib.crc32(packed + starts)),
        )
        stored.append((number, text))
    if stored:
        add_postings(connection, stored)
        _count(connection, [text for _, text in stored], 1)


def delete_documents(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Delete the documents that are there, and return their numbers by id."""
    deleted = list(_select_documents(connection, "id", ids))
    for document in deleted:
        connection.execute("DELETE FROM documents WHERE number = ?", (document.number,))
        connection.execute("DELETE FROM document_terms WHERE document = ?", (document.number,))
    if deleted:
        remove_postings(connection, [(document.number, document.terms) for document in deleted])
        _count(connection, [document.terms for document in deleted], -1)
    return {document.id: document.number for document in deleted}


class _StoredDocument(NamedTuple):
    number: int
    id: str
    terms: Terms
    packed_starts: bytes


def _select_documents(
    connection: sqlite3.Connection, column: str, values: Sequence[Any]
) -> Iterator[_StoredDocument]:
    query = (
        "SELECT documents.number, id, terms, starts, checksum FROM documents "
        "JOIN document_terms ON document = documents.number"
    )
    for number, document_id, terms, starts, checksum in select(connection, query, column, values):
        if zlib.crc32(terms + starts) != checksum:
            raise sqlite3.DatabaseError(f"the terms of {document_id!r} are malformed")
        yield _StoredDocument(number, document_id, np.frombuffer(terms, "<i4"), starts)


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


def _count(connection: sqlite3.Connection, texts: Sequence[Terms], sign: int) -> None:
    """Count documents in, or out."""
    terms = np.concatenate(texts).astype(np.int64)
    lengths = np.array([len(text) for text in texts])
    owners = np.repeat(np.arange(len(texts)), lengths)
    windows, indices, window_lengths = windows_of(lengths, np.arange(len(terms)))
    # A term and a text as one number: each pair counts once.
    in_documents = np.unique(terms * len(lengths) + owners) // len(lengths)
    in_passages = np.unique(terms[indices] * len(window_lengths) + windows) // len(window_lengths)
    numbers, documents = np.unique(in_documents, return_counts=True)
    _, passages = np.unique(in_passages, return_counts=True)
    connection.executemany(
        "UPDATE terms SET documents = documents + ?, passages = passages + ? WHERE number = ?",
        zip((sign * documents).tolist(), (sign * passages).tolist(), numbers.tolist(), strict=True),
    )
    totals = [len(texts), len(terms), len(window_lengths), int(window_lengths.sum())]
    connection.execute(
        "UPDATE totals SET documents = documents + ?, length = length + ?, "
        "passages = passages + ?, passage_length = passage_length + ?",
        [sign * total for total in totals],
    )


def _contains(text: bytes, phrase: bytes) -> bool:
    """Return whether some terms stand in a row, from four bytes of each."""
    place = text.find(phrase)
    while place % 4 and place > 0:
        place = text.find(phrase, place + 1)
    return place >= 0
