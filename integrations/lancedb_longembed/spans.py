"""The spans of a collection in LanceDB: a row for each document, its vectors in one column."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from lancedb_longembed.collections import Collections
from lancedb_longembed.tables import KEY, Rows, among, connect, drop, table_names
from longembed_index.spans import DocumentSpans

if TYPE_CHECKING:
    from lancedb.db import DBConnection

RANGES, DOCUMENT, VECTORS = "ranges", "document", "vectors"


class LanceSpans:
    """See `longembed_index.spans.SpanKeeper`; vectors in half precision, a table for each model.

    Args:
        uri: Of the database; None if there is none yet.
        collection: The collection in it.
    """

    def __init__(self, uri: str | None, collection: str) -> None:
        self._uri, self._collection = uri, collection
        self._tables: dict[str, Rows] = {}
        self._opened: DBConnection | None = None

    @property
    def _database(self) -> DBConnection:
        if self._opened is None:
            assert self._uri is not None
            self._opened = connect(self._uri)
        return self._opened

    @property
    def _prefix(self) -> str:
        return f"{self._collection}.spans."

    def _name(self, fingerprint: str) -> str:
        return self._prefix + hashlib.sha256(fingerprint.encode()).hexdigest()[:16]

    def _rows(self, fingerprint: str) -> Rows | None:
        name = self._name(fingerprint)
        if name not in self._tables:
            if self._uri is None or name not in table_names(self._database):
                return None
            self._tables[name] = Rows(self._database, name)
        return self._tables[name]

    @property
    def place(self) -> str:
        """The tables."""
        return f"the tables {self._prefix}* of {self._uri}"

    @property
    def exists(self) -> bool:
        """Whether any document ever had spans here."""
        if self._uri is None:
            return False
        return any(entry.spans for entry in Collections(self._database).entries(self._collection))

    def put(self, fingerprint: str, found: Iterable[DocumentSpans]) -> None:
        """Keep the spans of documents; earlier ones of the same ids are replaced."""
        collections = Collections(self._database)
        news = [one for one in collections.entries(self._collection) if not one.spans]
        if news:
            collections.put(*(replace(one, spans=True) for one in news))
        documents = list(found)
        if not documents:
            return
        schema = _schema(len(documents[0].document))
        rows = self._rows(fingerprint)
        if rows is None:
            name = self._name(fingerprint)
            rows = self._tables[name] = Rows.create(self._database, name, schema)
        rows.put(_table(documents, schema))

    def delete(self, fingerprint: str, ids: Iterable[str]) -> None:
        """Forget the spans of some documents."""
        rows = self._rows(fingerprint)
        if rows is not None:
            rows.delete(list(ids))

    def keep_only(self, fingerprints: Collection[str]) -> None:
        """Forget what other models made."""
        if self._uri is None:
            return
        kept = {self._name(fingerprint) for fingerprint in fingerprints}
        for name in table_names(self._database) - kept:
            if name.startswith(self._prefix):
                drop(self._database, name)
                self._tables.pop(name, None)

    def ids(self, fingerprint: str) -> set[str]:
        """The documents that have spans by a model."""
        rows = self._rows(fingerprint)
        return set() if rows is None else {row[KEY] for row in rows.rows(KEY)}

    def read(self, fingerprint: str, ids: Sequence[str] | None = None) -> Iterator[DocumentSpans]:
        """The spans that a model made, of some documents, or of all."""
        rows = self._rows(fingerprint)
        if rows is None or (ids is not None and not ids):
            return
        where = None if ids is None else among(ids)
        for batch in rows.read(KEY, RANGES, DOCUMENT, VECTORS, where=where):
            yield from _documents(batch)


def _schema(width: int) -> pa.Schema:
    vector = pa.list_(pa.float16(), width)
    return pa.schema(
        [
            pa.field(KEY, pa.string(), nullable=False),
            pa.field(RANGES, pa.list_(pa.int64())),
            pa.field(DOCUMENT, vector),
            pa.field(VECTORS, pa.list_(vector)),
        ]
    )


def _table(documents: Sequence[DocumentSpans], schema: pa.Schema) -> pa.Table:
    width = len(documents[0].document)
    ends = np.cumsum([0, *(len(one.vectors) for one in documents)])

    def vectors(values: Any) -> pa.Array:
        halves = np.ascontiguousarray(values, dtype=np.float16).reshape(-1)
        return pa.FixedSizeListArray.from_arrays(halves, width)

    columns = [
        pa.array([one.id for one in documents]),
        pa.ListArray.from_arrays(
            2 * ends, np.concatenate([one.ranges.reshape(-1) for one in documents])
        ),
        vectors(np.stack([one.document for one in documents])),
        pa.ListArray.from_arrays(
            ends.astype(np.int32), vectors(np.concatenate([one.vectors for one in documents]))
        ),
    ]
    return pa.table(columns, schema=schema)


def _documents(batch: pa.RecordBatch) -> Iterator[DocumentSpans]:
    own = batch[DOCUMENT].flatten().to_numpy().reshape(len(batch), -1).astype(np.float32)
    ranges = batch[RANGES].flatten().to_numpy().reshape(-1, 2)
    spans = batch[VECTORS].flatten().flatten().to_numpy().reshape(-1, own.shape[1])
    ends = np.cumsum([0, *batch[VECTORS].value_lengths().to_pylist()])
    for number, key in enumerate(batch[KEY].to_pylist()):
        part = slice(ends[number], ends[number + 1])
        yield DocumentSpans(key, ranges[part], own[number], spans[part].astype(np.float32))
