"""The tables of a file of words, and the statements that read and change them."""

from __future__ import annotations

import itertools
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from longembed_index.lexical.analyzer import Tokens
from longembed_index.lexical.scores import Terms, window_count, window_lengths, windows_of

VERSION = 2
"""Of the tables and of the analysis: a file of another version is built again."""

_STATEMENTS = (
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
    "CREATE VIRTUAL TABLE postings USING fts5(terms, content='')",
)
_VALUES_AT_ONCE = 500
"""Values in one statement."""
_MOST_TERMS = 64
"""The most terms of a query that candidates are found by."""


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
    """Create the tables in an empty file, in the transaction that is open."""
    for statement in _STATEMENTS:
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
    rows = map(TermCount._make, select(connection, query, "term", list(set(terms))))
    return sorted(row for row in rows if row.documents)


def read_document_terms(
    connection: sqlite3.Connection, ids: Sequence[str]
) -> Iterator[tuple[str, Terms, bytes]]:
    """Yield id, terms, and packed starts of documents.

    Raises:
        sqlite3.DatabaseError: If they are damaged.
    """
    query = (
        "SELECT id, terms, starts, checksum FROM documents "
        "JOIN document_terms ON document = documents.number"
    )
    for document_id, terms, starts, checksum in select(connection, query, "id", ids):
        if zlib.crc32(terms + starts) != checksum:
            raise sqlite3.DatabaseError(f"the terms of {document_id!r} are malformed")
        yield document_id, _unpack(terms), starts


def unpack_starts(packed: bytes) -> Terms:
    """Return the first character of each term."""
    return np.cumsum(_unpack(packed), dtype=np.int32)


def find_candidates(
    connection: sqlite3.Connection,
    terms: Sequence[TermCount],
    most: int,
    among: Sequence[str] | None,
) -> list[str]:
    """Return ids of documents that contain some of the terms, the likeliest first."""
    # The words that few documents have decide; the others cost the time.
    by_rarity = sorted(terms, key=lambda term: term.documents)[:_MOST_TERMS]
    together = np.cumsum([term.documents for term in by_rarity])
    count = read_totals(connection).documents
    rare = by_rarity[: max(1, int(np.searchsorted(together, count, "right")))]
    if not rare or most < 1:
        return []
    rows = connection.execute(
        "SELECT id FROM postings JOIN documents ON number = postings.rowid "
        "WHERE postings MATCH ? ORDER BY rank",
        (" OR ".join(f'"{term.number}"' for term in rare),),
    )
    wanted = None if among is None else set(among)
    ids = (document_id for (document_id,) in rows if wanted is None or document_id in wanted)
    return list(itertools.islice(ids, most))


def find_phrase(connection: sqlite3.Connection, terms: Sequence[str]) -> list[str]:
    """Return ids of documents that have the terms in a row."""
    numbers = {count.term: count.number for count in read_term_counts(connection, terms)}
    if not all(term in numbers for term in terms):
        return []
    wanted = " ".join(str(numbers[term]) for term in terms)
    rows = connection.execute(
        "SELECT id FROM postings JOIN documents ON number = postings.rowid WHERE postings MATCH ?",
        (f'"{wanted}"',),
    )
    return [document_id for (document_id,) in rows]


def insert_documents(connection: sqlite3.Connection, documents: Sequence[DocumentTokens]) -> None:
    """Store documents that are not there."""
    numbers = _term_numbers(
        connection, {t for document in documents for t in document.tokens.terms}
    )
    texts = []
    for document_id, content_hash, tokens in documents:
        terms = np.array([numbers[term] for term in tokens.terms], dtype=np.int32)
        packed, starts = _pack(terms), _pack(np.diff(tokens.starts, prepend=np.int32(0)))
        number = connection.execute(
            "INSERT INTO documents (id, content_hash) VALUES (?, ?)", (document_id, content_hash)
        ).lastrowid
        connection.execute(
            "INSERT INTO document_terms VALUES (?, ?, ?, ?)",
            (number, packed, starts, zlib.crc32(packed + starts)),
        )
        connection.execute(
            "INSERT INTO postings (rowid, terms) VALUES (?, ?)", (number, _as_text(terms))
        )
        texts.append(terms)
    _count(connection, texts, 1)


def delete_documents(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Delete the documents that are there."""
    query = (
        "SELECT documents.number, terms FROM documents "
        "JOIN document_terms ON document = documents.number"
    )
    texts = []
    for number, packed in select(connection, query, "id", ids):
        terms = _unpack(packed)
        # An index without contents has to be told what it is to forget.
        connection.execute(
            "INSERT INTO postings (postings, rowid, terms) VALUES ('delete', ?, ?)",
            (number, _as_text(terms)),
        )
        connection.execute("DELETE FROM documents WHERE number = ?", (number,))
        connection.execute("DELETE FROM document_terms WHERE document = ?", (number,))
        texts.append(terms)
    _count(connection, texts, -1)


def select(
    connection: sqlite3.Connection, query: str, column: str, values: Sequence[str]
) -> list[Any]:
    """Return the rows in which a column has one of some values."""
    rows = []
    for start in range(0, len(values), _VALUES_AT_ONCE):
        part = values[start : start + _VALUES_AT_ONCE]
        marks = ", ".join("?" * len(part))
        rows += connection.execute(f"{query} WHERE {column} IN ({marks})", part).fetchall()
    return rows


def _term_numbers(connection: sqlite3.Connection, terms: set[str]) -> dict[str, int]:
    """Return the numbers of terms; terms that are not there yet are inserted."""
    connection.executemany(
        "INSERT OR IGNORE INTO terms (term, documents, passages) VALUES (?, 0, 0)",
        [(term,) for term in sorted(terms)],
    )
    return dict(select(connection, "SELECT term, number FROM terms", "term", sorted(terms)))


def _count(connection: sqlite3.Connection, texts: Sequence[Terms], sign: int) -> None:
    """Count documents in, or out."""
    documents: Counter[int] = Counter()
    passages: Counter[int] = Counter()
    totals = np.zeros(4, dtype=np.int64)
    for terms in texts:
        count = int(window_count(len(terms)))
        windows, indices = windows_of(np.arange(len(terms)), count)
        # A term and a passage as one number: each pair counts once.
        pairs = np.unique(terms[indices].astype(np.int64) * count + windows)
        numbers, containing = np.unique(pairs // count, return_counts=True)
        documents.update(numbers.tolist())
        passages.update(dict(zip(numbers.tolist(), containing.tolist(), strict=True)))
        totals += [1, len(terms), count, int(window_lengths(len(terms)).sum())]
    connection.executemany(
        "UPDATE terms SET documents = documents + ?, passages = passages + ? WHERE number = ?",
        [(sign * count, sign * passages[number], number) for number, count in documents.items()],
    )
    connection.execute(
        "UPDATE totals SET documents = documents + ?, length = length + ?, "
        "passages = passages + ?, passage_length = passage_length + ?",
        (sign * totals).tolist(),
    )


def _as_text(terms: Terms) -> str:
    return " ".join(map(str, terms.tolist()))


def _pack(numbers: Terms) -> bytes:
    return zlib.compress(np.asarray(numbers, dtype="<i4").tobytes(), level=1)


def _unpack(packed: bytes) -> Terms:
    return np.frombuffer(zlib.decompress(packed), dtype="<i4")
