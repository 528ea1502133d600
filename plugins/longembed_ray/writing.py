"""From embedded rows to a store, by one writer, or to Parquet files, by as many as there are."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Document, Record, Units
from longembed_index.errors import StoreError
from longembed_index.maintain.report import Outcome, Status, unchanged
from longembed_index.store.stored_values import left_out_from_json
from longembed_index.store.vectors import unit_vectors
from longembed_ray import columns
from longembed_ray.files import file_system_of, write_bytes
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from longembed_index.document import Entry
    from longembed_index.store.protocol import Store

COMMIT_RECORDS = 500
COMMIT_CHARACTERS = 1_000_000
"""What is written to a store together, and lost if the run is killed before that."""
PROVENANCE_FILE = "longembed.json"
"""Says how the vectors in a folder of Parquet files are made."""
_ARRAYS = {columns.VECTOR, columns.UNIT_RANGES, columns.UNIT_COUNTS, columns.UNIT_VECTORS}


def write_to_store(
    tables: Iterable[pa.Table],
    store: Store,
    stored: Mapping[str, str],
    partly_read: Mapping[str, Entry] | None = None,
) -> Iterator[Outcome]:
    """Write embedded rows to a store, many in one commit, and yield what became of them.

    Args:
        tables: From `EmbedDocuments`; rows that are `known` are in the store already.
        store: Open for writing.
        stored: The content hashes of the documents that the store holds, by id.
        partly_read: Those of them that were not read whole, by id.
    """
    written: dict[str, str] = {}
    outcomes: list[Outcome] = []
    records: list[Record] = []
    for table in tables:
        without_arrays = table.drop_columns(_ARRAYS & set(table.column_names))
        for n, row in enumerate(without_arrays.to_pylist()):
            outcome = _outcome(row, stored, written, partly_read)
            outcomes.append(outcome)
            if outcome.status in ("added", "replaced"):
                records.append(_record(row, table.slice(n, 1)))
        characters = sum(len(record.document.text) for record in records)
        if not records or len(records) >= COMMIT_RECORDS or characters >= COMMIT_CHARACTERS:
            yield from _committed(store, records, outcomes)
            records, outcomes = [], []
    yield from _committed(store, records, outcomes)


def _committed(store: Store, records: list[Record], outcomes: list[Outcome]) -> list[Outcome]:
    if records:
        store.write(records)
    return outcomes


def _outcome(
    row: Mapping[str, Any],
    stored: Mapping[str, str],
    written: dict[str, str],
    partly_read: Mapping[str, Entry] | None = None,
) -> Outcome:
    """Return what becomes of a document, and note it in `written`, unless it fails."""
    document_id, size, reason = row[columns.ID], row[columns.SIZE], row[columns.ERROR]
    content_hash = row[columns.CONTENT_HASH]
    if reason is None and written.get(document_id, content_hash) != content_hash:
        reason = "has the id of another document of this run"
    if reason is not None:
        if document_id in stored:
            reason += "; the store keeps its earlier version"
        return Outcome(document_id, "failed", size, reason=reason)
    if row[columns.KNOWN] or document_id in written:
        return unchanged(document_id, size, (partly_read or {}).get(document_id))
    written[document_id] = content_hash
    status: Status = "replaced" if document_id in stored else "added"
    return Outcome(
        document_id,
        status,
        size,
        row[columns.TOKENS],
        row[columns.READ],
        tokens_unknown=row[columns.UNKNOWN],
        left_out=left_out_from_json(row.get(columns.LEFT_OUT)),
    )


def _record(row: Mapping[str, Any], table: pa.Table) -> Record:
    """Return the record of a row; `table` has that row alone, with its arrays."""
    vector = unit_vectors(_numbers(table[columns.VECTOR]))
    units = None
    if columns.UNIT_VECTORS in table.column_names and table[columns.UNIT_VECTORS].null_count == 0:
        counts = _numbers(table[columns.UNIT_COUNTS])
        vectors = _numbers(table[columns.UNIT_VECTORS]).astype(np.float32)
        ranges = _numbers(table[columns.UNIT_RANGES]).reshape(-1, 2)
        units = Units(
            ranges,
            counts,
            vectors.reshape(len(counts), -1) if len(counts) else vectors.reshape(0, 0),
        )
    metadata = json.loads(row[columns.METADATA])
    document = Document(row[columns.ID], row[columns.TEXT], metadata, row[columns.TITLE])
    read = (row[columns.TOKENS], row[columns.READ], row[columns.WINDOWS])
    coverage = Coverage(*read, unknown=row[columns.UNKNOWN])
    left_out = left_out_from_json(row.get(columns.LEFT_OUT))
    return Record(document, vector, row[columns.CONTENT_HASH], coverage, units, left_out)


def _numbers(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return the numbers of a column of lists, or of lists of lists, one after the other."""
    values = column.combine_chunks()
    while hasattr(values.type, "value_type"):
        values = values.flatten()
    return np.asarray(values)


def write_parquet(rows: pa.Table, folder: str) -> pa.Table:
    """Write new documents of a batch to `part-*.parquet`, those that failed to `failed-*.parquet`.

    `Dataset.write_parquet` reports nothing before its end, and a kill leaves files that cannot be
    read. Here a file is written whole or not at all, and is named after the documents in it:
    written again, it is the same file. The rows that are returned are for `outcomes_of`.
    """
    from pyarrow import compute, parquet

    failed = compute.is_valid(rows[columns.ERROR])
    is_new = compute.invert(compute.or_(rows[columns.KNOWN], failed))
    for name, wanted in (("part", is_new), ("failed", failed)):
        part = rows.filter(wanted).drop_columns([columns.KNOWN])
        if len(part):
            documents = zip(
                part[columns.ID].to_pylist(), part[columns.CONTENT_HASH].to_pylist(), strict=True
            )
            keys = "".join(columns.version_key(*document) for document in documents)
            digest = hashlib.sha256(keys.encode()).hexdigest()[:32]
            buffer = io.BytesIO()
            parquet.write_table(part, buffer, compression="zstd")
            write_bytes(f"{folder}/{name}-{digest}.parquet", buffer.getvalue())
    return rows.drop_columns([columns.TEXT, *(_ARRAYS & set(rows.column_names))])


def outcomes_of(tables: Iterable[pa.Table]) -> Iterator[Outcome]:
    """Yield what became of the documents that `write_parquet` has written."""
    for table in tables:
        for row in table.to_pylist():
            # Each row is in a file, whatever the ids of other rows are.
            yield _outcome(row, {}, {})


def keys_in_parquet(folder: str) -> list[str]:
    """Return the keys (`version_key`) of the documents in a folder of Parquet files.

    Raises:
        StoreError: If it cannot be read.
    """
    from pyarrow import ArrowException, dataset, fs

    try:
        system, path = file_system_of(folder)
        entries = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        paths = [
            entry.path for entry in entries if PurePosixPath(entry.path).match("part-*.parquet")
        ]
        if not paths:
            return []
        table = dataset.dataset(paths, filesystem=system).to_table(
            columns=[columns.ID, columns.CONTENT_HASH]
        )
    except (OSError, ValueError, ArrowException) as error:
        raise StoreError(f"cannot read {folder}: {error}") from error
    pairs = zip(table[columns.ID].to_pylist(), table[columns.CONTENT_HASH].to_pylist(), strict=True)
    return [columns.version_key(*pair) for pair in pairs]


def check_provenance(folder: str, provenance: Provenance) -> None:
    """Note how the vectors in a folder are made, or refuse to add vectors of other settings."""
    from pyarrow import fs

    file = f"{folder.rstrip('/')}/{PROVENANCE_FILE}"
    try:
        system, path = file_system_of(file)
        stored = None
        if system.get_file_info(path).type == fs.FileType.File:
            with system.open_input_stream(path) as stream:
                stored = Provenance.from_json(bytes(stream.read()).decode())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {file}: {error}") from error
    if stored is not None:
        stored.refuse_incompatible(provenance, folder)
    elif keys_in_parquet(folder):
        raise ConfigError(
            f"{folder} has Parquet files, but no {PROVENANCE_FILE} that says how their vectors are "
            "made. Name a new folder"
        )
    else:
        write_bytes(file, provenance.portable().to_json().encode())
