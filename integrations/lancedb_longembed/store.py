"""A collection in LanceDB as a store; see `longembed_index.store.protocol.Store`.

Each row is a document: its text, metadata, vector, units, and its words, which LanceDB's full-text
index scores. A search compares all vectors, unless somebody has made an index of them in LanceDB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lancedb_longembed.collections import Collections, Entry
from lancedb_longembed.filters import narrow
from lancedb_longembed.records import (
    CHARACTERS,
    ENTRY_COLUMNS,
    RECORD_COLUMNS,
    UNIT_COLUMNS,
    VECTOR,
    read_entries,
    read_records,
    read_units,
    read_vectors,
    table_of,
    table_schema,
)
from lancedb_longembed.tables import KEY, Database, Rows, one_of
from lancedb_longembed.words import INDICES, LanceWords
from longembed_index.errors import StoreError
from longembed_index.lexical.analyzer import guess_language
from longembed_index.maintain.embedding import batches
from longembed_index.store.filters import check_where, matcher
from longembed_index.store.info import info_to_json
from longembed_index.store.protocol import StoreInfo, Where
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    from numpy.typing import NDArray

    from longembed_index import document

T = TypeVar("T")

_UNITS_AT_ONCE = 200
"""The number of documents whose units are read together."""


class LanceStore:
    """One collection in LanceDB.

    Args:
        database: The database of the collection.
        collection: The name of the collection.
        create: The description of the collection if it does not exist yet; None to open only an
            existing one.
        table: The name of a staged table; None for the current one, which answers searches.
        write: Whether to open it for writing. Closing it then brings its indices up to date.

    Raises:
        StoreError: If the collection does not exist and `create` is None, or cannot be read.
        ConfigError: If another program has a table of this name, or LanceDB refuses the name.
    """

    def __init__(
        self,
        database: Database,
        collection: str,
        *,
        create: StoreInfo | None = None,
        table: str | None = None,
        write: bool = False,
    ) -> None:
        self._database, self._collection, self._table = database, collection, table
        self._write = write
        self._collections = Collections(database, collection)
        self._rows: Rows | None = None
        self._name = ""
        if self._collections.find(state="current") is None:
            self._collections.refuse_foreign()
            if create is None:
                raise StoreError(f"there is no collection {collection!r} in {database.address}")
            name = self._collections.new_table()
            self._collections.put(Entry.create(name, collection, "current", create))
        indexed, rows = self._entry().indexed, self._find_rows()
        if rows is not None and rows.version < (indexed or 0):
            raise StoreError(
                f"the newest version of the documents in {escaped(database.address)} is missing. "
                "Restore the store from a copy, or index the documents into a new folder"
            )
        if write and rows is not None:
            # A run that was killed may have left a table without indices, which is not searched.
            rows.index(INDICES)

    def _entry(self) -> Entry:
        """Read the entry again, because another process may have switched tables."""
        if self._table is None:
            entry = self._collections.find(state="current")
        else:
            entry = self._collections.find(table=self._table)
        if entry is None:
            raise StoreError(
                f"the table of the collection {self._collection!r} was removed by another "
                "process. Open the store again"
            )
        return entry

    def _find_rows(self) -> Rows | None:
        """Return the table, which the first write creates; None before it."""
        name = self._entry().table
        if self._rows is None or self._name != name:
            exists = name in self._database.table_names()
            self._rows, self._name = (Rows(self._database, name) if exists else None), name
        return self._rows

    # Reading.

    @property
    def info(self) -> StoreInfo:
        """Return the description of the store, as it is stored now."""
        return self._entry().read_info(self._database.address)

    @property
    def generation(self) -> int:
        """Return a number that grows with every commit to the list of collections or the table."""
        rows = self._find_rows()
        return (self._collections.version << 32) + (0 if rows is None else rows.version)

    def __len__(self) -> int:
        rows = self._find_rows()
        return 0 if rows is None else len(rows)

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[document.Record]:
        """Return the records with these ids, in their order, or those with units, with them."""
        columns = (*RECORD_COLUMNS, *UNIT_COLUMNS) if units else RECORD_COLUMNS
        records = {
            record.document.id: record
            for batch in self._read(columns, ids)
            for record in self._decode(read_records, batch)
            if record.units is not None or not units
        }
        return [records[key] for key in ids if key in records]

    def entries(self, where: Where | None = None) -> Iterator[document.Entry]:
        """Yield the entries of documents that meet a filter, sorted by id, without texts."""
        where = where or {}
        check_where(where)
        rows = self._find_rows()
        if rows is None:
            return
        parts = rows.read(*ENTRY_COLUMNS, where=narrow(where))
        entries = [entry for part in parts for entry in self._decode(read_entries, part)]
        entries.sort(key=lambda entry: entry.id)
        meets = matcher(where)
        yield from (entry for entry in entries if meets(entry.fields))

    def vectors(self, ids: Sequence[str] | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit vectors, shape (documents, dimensions); all of them without `ids`."""
        stored_ids: list[str] = []
        parts: list[NDArray[np.float32]] = []
        for batch in self._read((KEY, VECTOR), ids):
            stored_ids += batch[KEY].to_pylist()
            parts += self._decode(lambda batch: [read_vectors(batch)], batch)
        if not stored_ids:
            return [], np.zeros((0, self._dimensions() or 0), dtype=np.float32)
        vectors = np.concatenate(parts)
        places = {key: place for place, key in enumerate(stored_ids)}
        wanted = sorted(stored_ids) if ids is None else [key for key in ids if key in places]
        return wanted, vectors[[places[key] for key in wanted]]

    def units(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, document.Units]]:
        """Yield the units of documents that have units; of all documents without `ids`."""
        columns = (KEY, CHARACTERS, *UNIT_COLUMNS)
        if ids is None:
            for batch in self._read(columns, None):
                yield from self._decode(read_units, batch)
            return
        for part in batches(ids, _UNITS_AT_ONCE):
            units = dict(
                pair
                for batch in self._read(columns, part)
                for pair in self._decode(read_units, batch)
            )
            yield from ((key, units[key]) for key in part if key in units)

    def _read(self, columns: Sequence[str], ids: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        rows = self._find_rows()
        if rows is None:
            return iter(())
        return rows.read(*columns) if ids is None else rows.read_keys(ids, *columns)

    def _decode(
        self, read: Callable[[pa.RecordBatch], Iterable[T]], batch: pa.RecordBatch
    ) -> list[T]:
        """Return what a function reads from a batch; an error names the store."""
        with self._database.errors("read"):
            return list(read(batch))

    def nearest(
        self, vector: NDArray[np.float32], k: int, where: Where | None = None
    ) -> list[tuple[str, float]]:
        """Return ids and cosine similarities of the k nearest documents, best first."""
        rows = self._find_rows()
        ids = [entry.id for entry in self.entries(where)] if where else None
        if rows is None or k < 1 or ids == []:
            return []
        query, limit = np.asarray(vector, dtype=np.float32), k
        while True:
            limit += 1
            with self._database.errors("read"):
                search = rows.table.search(query, vector_column_name=VECTOR)
                search = search.distance_type("cosine").limit(limit).select([KEY, "_distance"])
                if ids is not None:
                    search = search.where(one_of(ids), prefilter=True)
                results = search.to_list()
            scores = [(row[KEY], 1 - row["_distance"]) for row in results]
            # LanceDB returns documents with equal scores in any order. To sort them by id, go on
            # until the results have all documents that tie with the last one.
            if len(results) < limit or scores[k - 1][1] > scores[-1][1]:
                return sorted(scores, key=lambda pair: (-pair[1], pair[0]))[:k]
            limit *= 2

    def lexical(self) -> LanceWords:
        """Return LanceDB's index of the words."""
        return LanceWords(self._find_rows(), self._entry().language)

    # Writing.

    def update_info(self, info: StoreInfo) -> None:
        """Replace the description of the store, in one commit."""
        self._check_is_for_writing()
        entry = self._entry()
        if entry.language not in (None, info.language or entry.language):
            raise StoreError(
                f"the language of the store is {entry.language}, not {info.language}. For another "
                "language, make a new store"
            )
        self._collections.put(replace(entry, info=info_to_json(info)))

    def write(self, records: Sequence[document.Record], delete: Iterable[str] = ()) -> None:
        """Add or replace records, and delete others, all in one commit."""
        self._check_is_for_writing()
        latest = {record.document.id: record for record in records}
        deleted = set(delete) - latest.keys()
        rows = self._find_rows()
        if not latest:
            if rows is not None:
                rows.write(None, deleted)
            return
        entry = self._entry()
        language = entry.language or entry.read_info(self._database.address).language
        language = language or guess_language(r.document.text for r in latest.values())
        with self._database.errors("write"):
            data = table_of(list(latest.values()), language, self._dimensions())
        if entry.language is None:
            self._collections.put(replace(entry, language=language))
        if rows is None:
            dimensions = data.schema.field(VECTOR).type.list_size
            self._database.create(entry.table, table_schema(dimensions))
            rows = self._rows = Rows(self._database, entry.table)
            rows.index(INDICES)
        rows.write(data, deleted)

    def _dimensions(self) -> int | None:
        rows = self._find_rows()
        return None if rows is None else int(rows.schema.field(VECTOR).type.list_size)

    # Replacing all vectors while the old ones answer.

    def stage(self, info: StoreInfo) -> LanceStore:
        """Create an empty store that will replace this one; delete an earlier staged one."""
        self._check_is_for_writing()
        self._collections.drop("staged")
        name = self._collections.new_table()
        self._collections.put(Entry.create(name, self._collection, "staged", info))
        return self._open_table(name)

    def staged(self) -> LanceStore | None:
        """Return the staged store, even if another process staged it; None without one."""
        entry = self._collections.find(state="staged")
        return None if entry is None else self._open_table(entry.table)

    def switch(self) -> str:
        """Replace this store by the staged one, in one commit; return the name of the old one.

        This object then reads and writes the new documents.
        """
        self._check_is_for_writing()
        staged = self._collections.find(state="staged")
        if staged is None:
            raise StoreError("there is no staged store to switch to. Call `stage` first")
        entry = self._entry()
        self._collections.put(replace(entry, state="replaced"), replace(staged, state="current"))
        return entry.table

    def drop_replaced(self) -> list[str]:
        """Delete the stores that `switch` has replaced, and return their names."""
        self._check_is_for_writing()
        return self._collections.drop("replaced")

    @property
    def is_indexed(self) -> bool:
        """Return whether the indices are complete: a run that was killed leaves them behind."""
        rows = self._find_rows()
        return rows is None or self._entry().indexed == rows.version

    def complete_indices(self) -> None:
        """Bring the indices up to date with the documents."""
        rows = self._find_rows()
        if rows is not None and not self.is_indexed:
            rows.index(INDICES)
            rows.tidy()
            self._collections.put(replace(self._entry(), indexed=rows.version))

    def close(self) -> None:
        """Bring the indices up to date with what was written, and release the connection."""
        if self._write:
            self.complete_indices()
        self._database.close_idle()

    def _check_is_for_writing(self) -> None:
        if not self._write:
            raise StoreError(f"{self._database.address} is open for reading. Open it for writing")

    def _open_table(self, name: str) -> LanceStore:
        return LanceStore(self._database, self._collection, table=name, write=self._write)
