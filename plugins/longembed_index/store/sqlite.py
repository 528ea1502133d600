"""The usual kind of store: one SQLite file with documents, vectors and units."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.document import Entry, Record, Units
from longembed_index.errors import StoreError
from longembed_index.store.connections import Connections
from longembed_index.store.info import info_from_json, info_to_json
from longembed_index.store.protocol import StoreInfo, Where
from longembed_index.store.sqlite_rows import (
    decode_units,
    encode_text,
    entry_values,
    read_entry,
    read_record,
)
from longembed_index.store.sqlite_tables import (
    RECORDS,
    UNITS,
    VECTORS,
    Collection,
    count_documents,
    create_collection,
    create_schema,
    delete_collection,
    delete_documents,
    delete_unused_texts,
    find_collection,
    has_collection,
    has_schema,
    insert_record,
    next_generation,
    read_all_vectors,
    read_vectors,
    select,
    select_entries,
    vector_parts,
)
from longembed_index.store.vectors import nearest_vectors, record_vectors, unit_vectors
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE_NAME = "longembed.sqlite3"

MATRIX_BYTES = 1 << 30
"""Up to so many bytes, `nearest` keeps all vectors in memory; beyond, it reads them each time."""

_PAGE_BYTES = 8192
"""With 4096, 20,000 documents of 300 words and 384 numbers take 104 MB instead of 76."""
_UNITS_AT_ONCE = 64


class SqliteStore:
    """One collection of a SQLite file; see `longembed_index.store.protocol.Store`.

    Its state is "current", or "staged" for what is going to replace the current one.
    """

    def __init__(self, connections: Connections, collection: str, state: str = "current") -> None:
        self._connections = connections
        self._name = collection
        self._state = state
        self._matrix: tuple[int, int, list[str], NDArray[np.float32]] | None = None
        self._info: tuple[str, StoreInfo] | None = None

    # Reading.

    @property
    def info(self) -> StoreInfo:
        """Return the description of the store, as it is stored now."""
        with self._read() as (_, collection):
            stored = collection.info
        kept = self._info
        if kept is None or kept[0] != stored:
            self._info = kept = (stored, info_from_json(stored, self._connections.path))
        return kept[1]

    @property
    def generation(self) -> int:
        """Return a number that grows with every commit, by whatever process."""
        with self._read() as (_, collection):
            return collection.generation

    def __len__(self) -> int:
        with self._read() as (connection, collection):
            return count_documents(connection, collection.number)

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[Record]:
        """Return the records with these ids, in their order, or those with units, with them."""
        with self._read() as (connection, collection):
            stored = select(connection, UNITS, collection.number, ids) if units else []
            units_of = {row[0]: decode_units(*row) for row in stored}
            keys = [key for key in ids if key in units_of] if units else ids
            rows = select(connection, RECORDS, collection.number, keys)
            vectors = read_vectors(rows, collection.dimensions)
            return [
                read_record(read_entry(tuple(entry)), text, digest, vector, units_of.get(entry[0]))
                for (_, _, _, text, digest, *entry), vector in zip(rows, vectors, strict=True)
            ]

    def entries(self, where: Where | None = None) -> Iterator[Entry]:
        """Yield what is known of every document that meets a filter, sorted by id, no texts."""
        with self._read() as (connection, collection):
            entries = select_entries(connection, collection.number, where or {})
        yield from entries

    def vectors(self, ids: Sequence[str] | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit vectors, shape (documents, dimensions); of all without `ids`."""
        with self._read() as (connection, collection):
            if ids is None:
                return read_all_vectors(connection, collection.number, collection.dimensions)
            rows = select(connection, VECTORS, collection.number, ids)
            return [row[0] for row in rows], read_vectors(rows, collection.dimensions)

    def units(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Units]]:
        """Yield the units of documents that have any; of all without `ids`."""
        with self._read() as (_, collection):
            # Goes on with these documents even if others take their place meanwhile.
            number = collection.number
        first, start = "", 0
        while ids is None or start < len(ids):
            with self._connections.borrow() as connection:
                if ids is None:
                    page = f"WHERE collection = ? AND id >= ? ORDER BY id LIMIT {_UNITS_AT_ONCE}"
                    rows = connection.execute(f"{UNITS} {page}", (number, first)).fetchall()
                else:
                    rows = select(connection, UNITS, number, ids[start : start + _UNITS_AT_ONCE])
                if not has_collection(connection, number):
                    raise self._replaced()
                units = [(row[0], decode_units(*row)) for row in rows]
            yield from units
            if ids is None and not rows:
                return
            # The first string after the last id.
            first = f"{rows[-1][0]}\0" if rows else ""
            start += _UNITS_AT_ONCE

    def nearest(
        self, vector: NDArray[np.float32], k: int, where: Where | None = None
    ) -> list[tuple[str, float]]:
        """Return ids and cosine similarities of the k nearest documents, best first.

        They are compared with all vectors, one by one.
        """
        with self._read() as (connection, collection):
            wanted = None
            if where:
                wanted = {
                    entry.id for entry in select_entries(connection, collection.number, where)
                }
            best: list[tuple[str, float]] = []
            for ids, vectors in self._all_vectors(connection, collection):
                if wanted is not None:
                    places = [place for place, key in enumerate(ids) if key in wanted]
                    ids, vectors = [ids[place] for place in places], vectors[places]
                best += nearest_vectors(ids, vectors, vector, k)
        return sorted(best, key=lambda pair: (-pair[1], pair[0]))[:k]

    def lexical(self) -> None:
        """Return None: words are kept in a file beside the store's."""

    # Writing.

    def update_info(self, info: StoreInfo) -> None:
        """Replace the description of the store, in one commit."""
        stored = info_to_json(info)
        with self._write() as (connection, collection):
            connection.execute(
                "UPDATE collections SET info = ? WHERE number = ?", (stored, collection.number)
            )

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        """Add or replace records, and delete others, all in one commit."""
        records = list({record.document.id: record for record in records}.values())
        values = [entry_values(record) for record in records]
        texts = [encode_text(record.document.text) for record in records]
        removed = [*delete, *(record.document.id for record in records)]
        if not removed:
            return
        with self._write() as (connection, collection):
            unused = delete_documents(connection, collection.number, removed)
            if records:
                vectors = record_vectors(records, collection.dimensions)
                connection.execute(
                    "UPDATE collections SET dimensions = ? WHERE number = ?",
                    (vectors.shape[1], collection.number),
                )
                for row in zip(records, values, texts, vectors, strict=True):
                    insert_record(connection, collection.number, *row)
            delete_unused_texts(connection, unused)

    # Replacing all vectors while the old ones answer.

    def stage(self, info: StoreInfo) -> SqliteStore:
        """Begin an empty store that is going to replace this one; discard an earlier one."""
        stored = info_to_json(info)
        with self._transaction() as connection:
            earlier = find_collection(connection, self._name, "staged")
            if earlier is not None:
                delete_collection(connection, earlier.number)
            create_collection(connection, self._name, "staged", stored)
        return SqliteStore(self._connections, self._name, "staged")

    def staged(self) -> SqliteStore | None:
        """Return what `stage` began and `switch` has not ended, perhaps in another process."""
        with self._connections.borrow() as connection:
            if find_collection(connection, self._name, "staged") is None:
                return None
        return SqliteStore(self._connections, self._name, "staged")

    def switch(self) -> str:
        """Put the staged store in the place of this one in one commit; return the old one's name.

        This object shows the new documents from then on.
        """
        with self._transaction() as connection:
            old = self._collection(connection)
            new = find_collection(connection, self._name, "staged")
            if new is None:
                raise StoreError(f"no store is staged for the collection {self._name!r}")
            name = f"replaced-{old.number}"
            update = "UPDATE collections SET state = ?, generation = ? WHERE number = ?"
            connection.execute(update, (name, old.generation, old.number))
            generation = next_generation(max(old.generation, new.generation))
            connection.execute(update, ("current", generation, new.number))
        return name

    def drop_replaced(self) -> list[str]:
        """Delete the stores that `switch` has replaced, and return their names.

        The file gives the room back to the disk.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT number, state FROM collections WHERE name = ? AND state LIKE 'replaced-%'",
                (self._name,),
            ).fetchall()
            for number, _ in rows:
                delete_collection(connection, number)
        if rows:
            with self._connections.borrow() as connection:
                # It has a row a page without a column, of which `execute` would step over one.
                connection.executescript("PRAGMA incremental_vacuum")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return [state for _, state in rows]

    def close(self) -> None:
        """Close the file; closing a staged store leaves it open for the one that it replaces."""
        self._matrix = None
        if self._state == "current":
            self._connections.close()

    # Transactions.

    @contextmanager
    def _read(self) -> Iterator[tuple[sqlite3.Connection, Collection]]:
        """Read in one transaction."""
        with self._connections.borrow() as connection:
            connection.execute("BEGIN")
            yield connection, self._collection(connection)
            connection.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if not self._connections.write:
            raise StoreError(
                f"{escaped(self._connections.path)} is open for reading. Open it for writing"
            )
        with self._connections.borrow() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _write(self) -> Iterator[tuple[sqlite3.Connection, Collection]]:
        with self._transaction() as connection:
            collection = self._collection(connection)
            yield connection, collection
            connection.execute(
                "UPDATE collections SET generation = ? WHERE number = ?",
                (next_generation(collection.generation), collection.number),
            )

    def _collection(self, connection: sqlite3.Connection) -> Collection:
        collection = find_collection(connection, self._name, self._state)
        if collection is None:
            raise self._replaced()
        return collection

    def _replaced(self) -> StoreError:
        return StoreError(
            f"{escaped(self._connections.path)} has no {self._state} collection {self._name!r} any "
            "more: another process has replaced it. Open the store again"
        )

    def _all_vectors(
        self, connection: sqlite3.Connection, collection: Collection
    ) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield ids and vectors, sorted by id: from memory, or part by part if they are many."""
        matrix = self._matrix
        if matrix is not None and matrix[:2] == collection[:2]:
            yield matrix[2:]
            return
        self._matrix = matrix = None
        number, dimensions = collection.number, collection.dimensions
        if 4 * count_documents(connection, number) * (dimensions or 0) <= MATRIX_BYTES:
            ids, vectors = read_all_vectors(connection, number, dimensions)
            vectors = unit_vectors(vectors)
            self._matrix = (number, collection.generation, ids, vectors)
            yield ids, vectors
            return
        for ids, vectors in vector_parts(connection, number, dimensions):
            yield ids, unit_vectors(vectors)


class SqliteStores:
    """The kind "sqlite"; see `longembed_index.store.protocol.StoreKind`."""

    def recognises(self, directory: Path) -> bool:
        """Return whether a folder holds our file."""
        return (directory / FILE_NAME).is_file()

    def read_info(self, directory: Path, collection: str) -> StoreInfo | None:
        """Return what a collection holds; None if it does not exist."""
        if not self.recognises(directory):
            return None
        path = directory / FILE_NAME
        with closing(_connections(path)) as connections, connections.borrow() as connection:
            row = _find_current(connection, path, collection)
        return None if row is None else info_from_json(row.info, path)

    def open(
        self, directory: Path, collection: str, *, create: StoreInfo | None, write: bool
    ) -> SqliteStore:
        """Open a collection, or create it."""
        if create is None and not self.recognises(directory):
            raise StoreError(f"there is no store in {escaped(directory)}")
        connections = _connections(directory / FILE_NAME, write=write or create is not None)
        try:
            if create is not None:
                _create(connections, collection, info_to_json(create))
            else:
                with connections.borrow() as connection:
                    row = _find_current(connection, connections.path, collection)
                if row is None:
                    place = escaped(directory)
                    raise StoreError(f"there is no collection {collection!r} in {place}")
        except BaseException:
            connections.close()
            raise
        return SqliteStore(connections, collection)

    def address(self, directory: Path) -> str:
        """Return the folder."""
        return str(directory)

    def size(self, directory: Path) -> int:
        """Return the bytes of all files in the folder."""
        return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def _connections(path: Path, write: bool = False) -> Connections:
    def prepare(connection: sqlite3.Connection) -> None:
        is_ours = has_schema(connection, path)
        if write:
            if not is_ours:
                connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # Readers go on while something is written.
            connection.execute("PRAGMA journal_mode = WAL").fetchall()

    return Connections(path, write=write, prepare=prepare)


def _create(connections: Connections, collection: str, info: str) -> None:
    with connections.borrow() as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not has_schema(connection, connections.path):
            create_schema(connection)
        if not find_collection(connection, collection, "current"):
            create_collection(connection, collection, "current", info)
        connection.execute("COMMIT")


def _find_current(connection: sqlite3.Connection, path: Path, name: str) -> Collection | None:
    return find_collection(connection, name, "current") if has_schema(connection, path) else None
