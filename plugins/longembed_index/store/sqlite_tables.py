"""The tables of the SQLite file, and the statements that read and change them."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from longembed_index.document import Entry, Record
from longembed_index.errors import StoreError
from longembed_index.store.connections import read_schema
from longembed_index.store.filters import check_where, matcher
from longembed_index.store.sqlite_rows import (
    ENTRY_COLUMNS,
    encode_units,
    is_storable,
    narrow,
    pack_vectors,
    read_entry,
    text_digest,
    unpack_vectors,
)
from longembed_index.store.stored_values import StoredValueError, checked_vectors, damaged
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.store.protocol import Where

_IDS_AT_ONCE = 500
_VECTORS_AT_ONCE = 10_000

VECTORS = (
    "SELECT id, vector, checksum FROM documents LEFT JOIN vectors ON document = documents.number"
)
RECORDS = (
    f"SELECT id, vector, checksum, texts.text, digest, {ENTRY_COLUMNS} FROM documents "
    "LEFT JOIN vectors ON document = documents.number "
    "LEFT JOIN texts ON texts.number = documents.text"
)
UNITS = (
    "SELECT id, characters, places, vectors, checksum FROM documents "
    "JOIN units ON document = documents.number"
)
ALL = "WHERE collection = ? ORDER BY id"

_MOST_DIMENSIONS = 1 << 20
"""Far more than any model has."""

VERSION = 2
_APPLICATION_ID = 0x6C6F6E67

_STATEMENTS = (
    # One row for what is shown, one for what is staged, one for each that was replaced.
    "CREATE TABLE collections (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "state TEXT NOT NULL, generation INTEGER NOT NULL, dimensions INTEGER, info TEXT NOT NULL)",
    "CREATE UNIQUE INDEX collections_by_name ON collections (name, state)",
    # Copies of a document, and the staged collection, share its text.
    "CREATE TABLE texts (number INTEGER PRIMARY KEY, digest BLOB NOT NULL, text BLOB NOT NULL)",
    "CREATE UNIQUE INDEX texts_by_digest ON texts (digest)",
    "CREATE TABLE documents (number INTEGER PRIMARY KEY, collection INTEGER NOT NULL, "
    "id TEXT NOT NULL, title BLOB NOT NULL, metadata TEXT NOT NULL, content_hash TEXT NOT NULL, "
    "characters INTEGER NOT NULL, tokens INTEGER NOT NULL, read INTEGER NOT NULL, "
    "windows INTEGER NOT NULL, unknown INTEGER NOT NULL, left_out TEXT, text INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX documents_by_id ON documents (collection, id)",
    "CREATE INDEX documents_by_text ON documents (text)",
    "CREATE TABLE vectors (document INTEGER PRIMARY KEY, vector BLOB NOT NULL, "
    "checksum INTEGER NOT NULL)",
    "CREATE TABLE units (document INTEGER PRIMARY KEY, places BLOB NOT NULL, "
    "vectors BLOB NOT NULL, checksum INTEGER NOT NULL)",
)


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file, in the transaction that is open."""
    for statement in _STATEMENTS:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def has_schema(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether a file has exactly our tables; False if it is empty.

    Raises:
        StoreError: If it has other tables.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    objects = read_schema(connection)
    if not objects and not version and not application:
        return False
    if application != _APPLICATION_ID:
        raise StoreError(f"{escaped(path)} was made by another program. Name another folder")
    if version > VERSION:
        raise StoreError(
            f"{escaped(path)} was written by a newer version of longembed-st (format {version}; "
            f"this version reads {VERSION}). Update longembed-st"
        )
    if version < VERSION:
        raise StoreError(
            f"{escaped(path)} has format {version}, from before documents had sentence units; this "
            f"version reads {VERSION}. Index the documents into a new folder"
        )
    if objects != sorted(_STATEMENTS):
        raise StoreError(
            f"{escaped(path)} has other tables than longembed-st makes. Restore it from a copy, or "
            "index the documents into a new folder"
        )
    return True


class Collection(NamedTuple):
    """A row of `collections`."""

    number: int
    generation: int
    dimensions: int | None
    info: str


def next_generation(generation: int) -> int:
    """Return a greater number, which no restored backup of the file reaches again."""
    return max(generation + 1, time.time_ns())


def create_collection(connection: sqlite3.Connection, name: str, state: str, info: str) -> None:
    """Create an empty collection."""
    connection.execute(
        "INSERT INTO collections (name, state, generation, info) VALUES (?, ?, ?, ?)",
        (name, state, next_generation(0), info),
    )


def find_collection(connection: sqlite3.Connection, name: str, state: str) -> Collection | None:
    """Return the collection with a name and a state; None if there is none."""
    row = connection.execute(
        "SELECT number, generation, dimensions, info FROM collections WHERE name = ? AND state = ?",
        (name, state),
    ).fetchone()
    if row is None:
        return None
    collection = Collection(*row)
    numbers = (collection.number, collection.generation, collection.dimensions or 0)
    are_ours = all(type(number) is int and number >= 0 for number in numbers)
    if not are_ours or numbers[-1] > _MOST_DIMENSIONS:
        raise StoredValueError(
            f"the collection {escaped(name)} is damaged. Restore the store from a copy, or index "
            "the documents into a new folder"
        )
    return collection


def has_collection(connection: sqlite3.Connection, number: int) -> bool:
    """Return whether a collection has not been deleted."""
    query = "SELECT 1 FROM collections WHERE number = ?"
    return connection.execute(query, (number,)).fetchone() is not None


def count_documents(connection: sqlite3.Connection, number: int) -> int:
    """Return the number of documents of a collection."""
    query = "SELECT count(*) FROM documents WHERE collection = ?"
    return int(connection.execute(query, (number,)).fetchone()[0])


def select_entries(connection: sqlite3.Connection, number: int, where: Where) -> list[Entry]:
    """Return the entries of the documents that meet a filter, sorted by id."""
    check_where(where)
    condition, values = narrow(where)
    rows = connection.execute(
        f"SELECT {ENTRY_COLUMNS} FROM documents WHERE collection = ? AND {condition} ORDER BY id",
        (number, *values),
    )
    meets = matcher(where)
    return [entry for entry in map(read_entry, rows) if not where or meets(entry.fields)]


def _parts(ids: Iterable[str]) -> Iterator[tuple[list[str], str]]:
    """Yield ids in parts that one statement takes, with its marks for them."""
    storable = [key for key in ids if is_storable(key)]
    for start in range(0, len(storable), _IDS_AT_ONCE):
        part = storable[start : start + _IDS_AT_ONCE]
        yield part, ", ".join("?" * len(part))


def select(
    connection: sqlite3.Connection, select: str, number: int, ids: Sequence[str] | None
) -> list[tuple[Any, ...]]:
    """Return rows that begin with an id: of all, sorted by it, or of some, in their order."""
    if ids is None:
        return connection.execute(f"{select} {ALL}", (number,)).fetchall()
    rows: dict[str, tuple[Any, ...]] = {}
    for part, marks in _parts(ids):
        query = f"{select} WHERE collection = ? AND id IN ({marks})"
        rows.update((row[0], row) for row in connection.execute(query, (number, *part)))
    return [rows[key] for key in ids if key in rows]


def read_all_vectors(
    connection: sqlite3.Connection, number: int, dimensions: int | None
) -> tuple[list[str], NDArray[np.float32]]:
    """Return ids, sorted, and vectors of all documents; the rows are not in memory together."""
    vectors = np.empty((count_documents(connection, number), dimensions or 0), dtype=np.float32)
    ids: list[str] = []
    for part_ids, part in vector_parts(connection, number, dimensions):
        vectors[len(ids) : len(ids) + len(part)] = part
        ids += part_ids
    return ids, vectors


def vector_parts(
    connection: sqlite3.Connection, number: int, dimensions: int | None
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Yield ids and vectors of all documents, sorted by id."""
    rows = connection.execute(f"{VECTORS} {ALL}", (number,))
    while part := rows.fetchmany(_VECTORS_AT_ONCE):
        yield [row[0] for row in part], read_vectors(part, dimensions)


def read_vectors(rows: Sequence[tuple[Any, ...]], dimensions: int | None) -> NDArray[np.float32]:
    """Return the vectors of rows that begin with id, vector and checksum."""
    size = 2 * (dimensions or 0)
    for document_id, vector, checksum, *_ in rows:
        is_ours = isinstance(vector, bytes) and len(vector) == size
        if not is_ours or zlib.crc32(vector) != checksum:
            raise damaged("vector", document_id)
    vectors = unpack_vectors(b"".join(row[1] for row in rows), dimensions or 0)
    return checked_vectors([row[0] for row in rows], vectors)


def insert_record(
    connection: sqlite3.Connection,
    number: int,
    record: Record,
    values: tuple[Any, ...],
    text: bytes,
    vector: NDArray[np.float32],
) -> None:
    """Insert a record whose id the collection does not have."""
    digest = text_digest(text)
    row = connection.execute("SELECT number FROM texts WHERE digest = ?", (digest,)).fetchone()
    if row is None:
        query = "INSERT INTO texts (digest, text) VALUES (?, ?)"
        row = (connection.execute(query, (digest, text)).lastrowid,)
    document = connection.execute(
        f"INSERT INTO documents (collection, text, {ENTRY_COLUMNS}) "
        f"VALUES (?, ?{', ?' * len(values)})",
        (number, *row, *values),
    ).lastrowid
    data = pack_vectors(vector)
    connection.execute("INSERT INTO vectors VALUES (?, ?, ?)", (document, data, zlib.crc32(data)))
    if record.units is not None and len(record.units.ranges):
        connection.execute(
            "INSERT INTO units VALUES (?, ?, ?, ?)", (document, *encode_units(record.units))
        )


def delete_documents(
    connection: sqlite3.Connection, number: int, ids: Iterable[str]
) -> list[tuple[int]]:
    """Delete documents; return the numbers of their texts, which others may use."""
    texts = []
    for part, marks in _parts(ids):
        query = f"SELECT number, text FROM documents WHERE collection = ? AND id IN ({marks})"
        rows = connection.execute(query, (number, *part)).fetchall()
        documents = [(row[0],) for row in rows]
        connection.executemany("DELETE FROM documents WHERE number = ?", documents)
        connection.executemany("DELETE FROM vectors WHERE document = ?", documents)
        connection.executemany("DELETE FROM units WHERE document = ?", documents)
        texts += [(row[1],) for row in rows]
    return texts


def delete_unused_texts(connection: sqlite3.Connection, texts: Iterable[tuple[int]]) -> None:
    """Delete those of some texts that no document has."""
    connection.executemany(
        "DELETE FROM texts WHERE number = ? "
        "AND NOT EXISTS (SELECT 1 FROM documents WHERE text = texts.number)",
        texts,
    )


def delete_collection(connection: sqlite3.Connection, number: int) -> None:
    """Delete a collection with its documents."""
    documents = "(SELECT number FROM documents WHERE collection = ?)"
    query = "SELECT DISTINCT text FROM documents WHERE collection = ?"
    texts = connection.execute(query, (number,)).fetchall()
    connection.execute(f"DELETE FROM vectors WHERE document IN {documents}", (number,))
    connection.execute(f"DELETE FROM units WHERE document IN {documents}", (number,))
    connection.execute("DELETE FROM documents WHERE collection = ?", (number,))
    connection.execute("DELETE FROM collections WHERE number = ?", (number,))
    delete_unused_texts(connection, texts)
