"""A collection in LanceDB as a store of the index; see `longembed_index.store.Store`.

A document is a row: text, vector, metadata as JSON, and its words, cut as every store's are, which
LanceDB's full-text index scores. Each write is one commit; searches compare all vectors, unless
somebody makes an index of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from lancedb_longembed.collections import Collections, Entry, State
from lancedb_longembed.tables import KEY, Rows, among, drop, lance_errors, quoted, table_names
from lancedb_longembed.words import COLUMNS, INDICES, LanceWords, word_columns
from longembed_index.errors import StoreError
from longembed_index.records import Match, Record, document_name
from longembed_index.words import guess_language
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from lancedb.db import DBConnection

    from longembed_st.base.provenance import Provenance

TEXT, METADATA, VECTOR = "text", "metadata", "vector"


class LanceStore:
    """The records of one collection.

    Args:
        database: Open.
        collection: Exists.
        state: Of the table: what answers, or what is staged.

    Raises:
        ConfigError: If it does not exist, or was not made by this package.
        StoreError: If it cannot be read.
    """

    max_batch = 1000

    def __init__(self, database: DBConnection, collection: str, state: State = "current") -> None:
        self._database = database
        self._collection = collection
        self._collections = Collections(database)
        self._open(state)

    @classmethod
    def create(cls, database: DBConnection, collection: str, made_by: Provenance) -> None:
        """Create a collection unless it is there already.

        Args:
            database: Open for writing.
            collection: Its name.
            made_by: How its vectors will be made.

        Raises:
            ConfigError: If another program has a table of the name, or there is no such name.
        """
        collections = Collections(database)
        if collections.current(collection) is None:
            table = collections.free_name(collection)
            settings = made_by.portable().to_json()
            collections.put(Entry(table, collection, "current", settings))

    def _open(self, state: State) -> None:
        find = self._collections.current if state == "current" else self._collections.staged
        found = find(self._collection)
        if found is None:
            raise ConfigError(f"there is no collection {self._collection!r}")
        self._entry = found
        self._provenance = found.provenance
        self._rows: Rows | None = None

    @property
    def _there(self) -> Rows | None:
        """The table; None before its first record, which tells how wide vectors are."""
        if self._rows is None and self._entry.table in table_names(self._database):
            self._rows = Rows(self._database, self._entry.table)
        return self._rows

    def _read(self, *columns: str, where: str | None = None) -> Iterator[pa.RecordBatch]:
        rows = self._there
        return iter(()) if rows is None else rows.read(*columns, where=where)

    @property
    def provenance(self) -> Provenance:
        """How the vectors were made."""
        return self._provenance

    @provenance.setter
    def provenance(self, provenance: Provenance) -> None:
        self._note(settings=provenance.portable().to_json())
        self._provenance = provenance

    def _note(self, **changes: Any) -> None:
        self._entry = replace(self._noted(), **changes)
        self._collections.put(self._entry)

    def _noted(self) -> Entry:
        """What is noted of the table now: others, such as the spans, have theirs there, too."""
        return self._collections.of_table(self._collection, self._entry.table)

    def __len__(self) -> int:
        rows = self._there
        return 0 if rows is None else len(rows)

    def names(self) -> Iterator[tuple[str, str]]:
        """The id and the document's name of every record."""
        for batch in self._read(KEY, METADATA):
            for row in batch.to_pylist():
                yield row[KEY], document_name(row[KEY], json.loads(row[METADATA]))

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records that exist among these, in any order."""
        if not ids:
            return []
        return [
            Record(key, text, vector, json.loads(metadata))
            for batch in self._read(KEY, TEXT, METADATA, VECTOR, where=among(ids))
            for key, text, metadata, vector in zip(
                *(batch[name].to_pylist() for name in (KEY, TEXT, METADATA)),
                _vectors(batch),
                strict=True,
            )
        ]

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those that exist."""
        if not ids:
            return {}
        return {
            key: vector
            for batch in self._read(KEY, VECTOR, where=among(ids))
            for key, vector in zip(batch[KEY].to_pylist(), _vectors(batch), strict=True)
        }

    def having(self, key: str, value: str) -> list[str]:
        """The ids of the records whose metadata has this value."""
        written = _as_json({key: value})[1:-1]
        return [
            row[KEY]
            for batch in self._read(KEY, METADATA, where=f"contains({METADATA}, {quoted(written)})")
            for row in batch.to_pylist()
            if json.loads(row[METADATA]).get(key) == value
        ]

    def write(self, records: Sequence[Record]) -> None:
        """Write records in one commit."""
        if not records:
            return
        width = len(records[0].vector)
        if any(len(record.vector) != width for record in records):
            raise StoreError("cannot write the store: the vectors are of different dimensions")
        texts = [record.text or "" for record in records]
        if self._entry.language is None:
            self.speak(guess_language(texts))
        schema = _schema(width)
        values = np.array([record.vector for record in records], dtype=np.float32)
        with lance_errors("write"):
            columns: dict[str, Any] = {
                KEY: [record.id for record in records],
                TEXT: [record.text for record in records],
                METADATA: [_as_json(record.metadata) for record in records],
                VECTOR: pa.FixedSizeListArray.from_arrays(values.reshape(-1), width),
                **word_columns(str(self._entry.language), texts),
            }
            data = pa.table(columns, schema=schema)
        rows = self._there
        if rows is None:
            rows = Rows.create(self._database, self._entry.table, schema, indices=INDICES)
            self._rows = rows
        rows.put(data)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; none is no error."""
        if self._there is not None:
            self._there.delete(ids)

    def search(self, vector: Any, k: int) -> list[Match]:
        """The records most similar to a vector, the best first."""
        rows = self._there
        if rows is None or not k:
            return []
        query = np.asarray(vector, dtype=np.float32)
        with lance_errors("read"):
            found = (
                rows.table.search(query, vector_column_name=VECTOR)
                .distance_type("cosine")
                .limit(k)
                .select([KEY, METADATA, "_distance"])
                .to_list()
            )
        return [Match(one[KEY], 1 - one["_distance"], json.loads(one[METADATA])) for one in found]

    def lost(self) -> list[str]:
        """Nothing: a vector and its text are in one file, and are there or not together."""
        return []

    def tidy(self) -> None:
        """Bring indices up to date with what was written, and forget old versions."""
        if self._rows is not None:
            self._rows.tidy()

    # Words.

    @property
    def word_index(self) -> LanceWords:
        """The words of its documents."""
        return LanceWords(self._there, self._entry.language, TEXT)

    def speak(self, language: str) -> None:
        """Settle the language of the words."""
        self._note(language=language)

    # Replacing all vectors while the old ones answer.

    def staged(self) -> LanceStore | None:
        """What `stage` has begun and no `switch` has ended."""
        if self._collections.staged(self._collection) is None:
            return None
        return LanceStore(self._database, self._collection, "staged")

    def stage(self, provenance: Provenance) -> LanceStore:
        """Begin an empty table that is going to replace this one."""
        self._drop(self._collections.of_state(self._collection, "staged"))
        entry = replace(
            self._noted(),
            table=self._collections.free_name(self._collection),
            state="staged",
            settings=provenance.portable().to_json(),
        )
        self._collections.put(entry)
        return LanceStore(self._database, self._collection, "staged")

    def switch(self) -> str:
        """Let what is staged answer, in one commit, and keep the old table."""
        staged = self._collections.staged(self._collection)
        if staged is None:
            raise StoreError("nothing is staged")
        kept = self._entry.table
        self._collections.put(
            replace(self._noted(), state="kept"), replace(staged, state="current")
        )
        self._open("current")
        return kept

    def drop_kept(self) -> list[str]:
        """Delete every table that `switch` has kept."""
        return self._drop(self._collections.of_state(self._collection, "kept"))

    def _drop(self, entries: Sequence[Entry]) -> list[str]:
        tables = [entry.table for entry in entries]
        for table in tables:
            drop(self._database, table)
        if tables:
            self._collections.remove(tables)
        return tables


def _schema(width: int) -> pa.Schema:
    return pa.schema(
        [
            pa.field(KEY, pa.string(), nullable=False),
            pa.field(TEXT, pa.large_string()),
            pa.field(METADATA, pa.string(), nullable=False),
            pa.field(VECTOR, pa.list_(pa.float32(), width)),
            *COLUMNS,
        ]
    )


def _vectors(batch: pa.RecordBatch) -> Any:
    column = batch[VECTOR]
    return column.flatten().to_numpy().reshape(len(column), -1)


def _as_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False)
