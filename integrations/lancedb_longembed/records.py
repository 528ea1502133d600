"""Between records and the rows of a table in LanceDB."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from lancedb_longembed.tables import KEY
from lancedb_longembed.words import WORD_FIELDS, word_columns
from longembed_index.document import Document, Entry, Record, Units
from longembed_index.store.sqlite_rows import entry_values, is_storable
from longembed_index.store.stored_values import (
    checked_units,
    checked_vectors,
    damaged,
    make_entry,
    read_json,
)
from longembed_index.store.vectors import pack_units, record_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXT, VECTOR, EXACT = "text", "vector", "exact"
"""`EXACT` has title and text as JSON if they are not valid Unicode, which LanceDB does not keep."""
CHARACTERS = "characters"
_COUNTS = (CHARACTERS, "tokens", "tokens_read", "windows", "unknown")
_LEFT_OUT = "left_out"
ENTRY_COLUMNS = (KEY, "title", "metadata", "content_hash", *_COUNTS, _LEFT_OUT, EXACT)
UNIT_COLUMNS = ("unit_places", "unit_vectors")
RECORD_COLUMNS = (*ENTRY_COLUMNS, TEXT, VECTOR)


def table_schema(dimensions: int) -> pa.Schema:
    """Return the columns of a table whose vectors have so many numbers."""
    return pa.schema(
        [
            pa.field(KEY, pa.string(), nullable=False),
            *(pa.field(name, pa.string()) for name in ENTRY_COLUMNS[1:4]),
            *(pa.field(name, pa.int64()) for name in _COUNTS),
            pa.field(_LEFT_OUT, pa.string()),
            pa.field(EXACT, pa.large_string()),
            pa.field(TEXT, pa.large_string()),
            pa.field(VECTOR, pa.list_(pa.float32(), dimensions)),
            *(pa.field(name, pa.large_binary()) for name in UNIT_COLUMNS),
            *WORD_FIELDS,
        ]
    )


def table_of(records: Sequence[Record], language: str, dimensions: int | None) -> pa.Table:
    """Return records as rows.

    Args:
        records: At least one; each id once.
        language: The language of their words.
        dimensions: The numbers of a vector that the table has already; None if it has none.

    Raises:
        InputError: If an id or metadata cannot be stored.
        StoreError: If a vector is not finite, or has other dimensions.
    """
    vectors = record_vectors(records, dimensions)
    entries = [entry_values(record) for record in records]
    texts = [record.document.text for record in records]
    columns: dict[str, Any] = dict(
        zip(ENTRY_COLUMNS, map(list, zip(*entries, strict=True)), strict=False)
    )
    columns["title"] = [_valid(record.document.title) for record in records]
    columns[EXACT] = [_exact(record.document) for record in records]
    columns[TEXT] = [_valid(text) for text in texts]
    columns[VECTOR] = _lists(vectors)
    columns |= _unit_columns(records)
    return pa.table(columns | word_columns(language, texts), table_schema(vectors.shape[1]))


def read_entries(batch: pa.RecordBatch) -> list[Entry]:
    """Return the entries in a batch that has `ENTRY_COLUMNS`."""
    return [
        make_entry(
            row[KEY],
            _read_exact(row, "title"),
            row["metadata"],
            row["content_hash"],
            [row[name] for name in _COUNTS],
            row[_LEFT_OUT],
        )
        for row in batch.select(ENTRY_COLUMNS).to_pylist()
    ]


def read_records(batch: pa.RecordBatch) -> Iterator[Record]:
    """Yield the records in a batch that has `RECORD_COLUMNS`, and perhaps `UNIT_COLUMNS`."""
    texts = batch.select([TEXT, EXACT, KEY]).to_pylist()
    has_units = set(UNIT_COLUMNS) <= set(batch.schema.names)
    units = dict(read_units(batch)) if has_units else {}
    for entry, row, vector in zip(read_entries(batch), texts, read_vectors(batch), strict=True):
        text = _read_exact(row, TEXT)
        if len(text) != entry.characters:
            raise damaged("text", entry.id)
        document = Document(entry.id, text, entry.metadata, entry.title)
        own = units.get(entry.id)
        yield Record(document, vector, entry.content_hash, entry.coverage, own, entry.left_out)


def read_vectors(batch: pa.RecordBatch) -> NDArray[np.float32]:
    """Return the vectors in a batch that has keys, shape (rows, dimensions)."""
    return checked_vectors(batch[KEY].to_pylist(), vector_column(batch))


def vector_column(batch: pa.RecordBatch) -> NDArray[np.float32]:
    """Return vectors that anybody may have written, shape (rows, dimensions)."""
    column = batch[VECTOR]
    vectors: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    # A vector that is missing takes no numbers.
    if len(vectors) != len(column) * column.type.list_size:
        raise damaged("vector", batch[KEY][column.is_null().to_pylist().index(True)].as_py())
    return vectors.reshape(len(column), column.type.list_size)


def read_units(batch: pa.RecordBatch) -> Iterator[tuple[str, Units]]:
    """Yield the sentence units in a batch that has keys, `characters` and `UNIT_COLUMNS`."""
    for row in batch.select([KEY, CHARACTERS, *UNIT_COLUMNS]).to_pylist():
        places, vectors = (row[name] for name in UNIT_COLUMNS)
        if vectors is not None:
            yield row[KEY], checked_units(row[KEY], row[CHARACTERS], places, vectors)


def _unit_columns(records: Sequence[Record]) -> dict[str, list[bytes | None]]:
    packed = [
        (None, None) if record.units is None else pack_units(record.units) for record in records
    ]
    return dict(zip(UNIT_COLUMNS, map(list, zip(*packed, strict=True)), strict=True))


def _lists(vectors: NDArray[Any]) -> pa.Array:
    flat = np.ascontiguousarray(vectors).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def _valid(text: str) -> str:
    return text if is_storable(text) else text.encode("utf-8", "replace").decode("utf-8")


def _exact(document: Document) -> str | None:
    if is_storable(document.text) and is_storable(document.title):
        return None
    return json.dumps({"title": document.title, TEXT: document.text})


def _read_exact(row: dict[str, Any], name: str) -> str:
    if not row[EXACT]:
        return str(row[name])
    try:
        return str(read_json(row[EXACT])[name])
    except (KeyError, TypeError, ValueError):
        raise damaged(name, row[KEY]) from None
