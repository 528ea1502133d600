"""From embedded rows to a store, by one writer, or to Parquet files, by as many as there are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.distributed.embedding import ERROR, SPAN_RANGES, SPAN_VECTORS, TEXT, VECTOR
from longembed_index.distributed.files import system_of, write_bytes
from longembed_index.distributed.reading import ID, SIZE
from longembed_index.embedding import batches
from longembed_index.errors import StoreError
from longembed_index.ingestion import ids_by_name
from longembed_index.records import CONTENT_HASH, COUNTS, READ, SOURCE, TITLE, TOKENS, Record
from longembed_index.reports import Outcome
from longembed_index.spans import DocumentSpans, SpannedStore
from longembed_st.base.provenance import Provenance
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from longembed_index.store import Store

KNOWN = "known"
_LARGE = {TEXT, VECTOR, SPAN_RANGES, SPAN_VECTORS}
PROVENANCE = "longembed.json"
"""How the vectors of a folder of Parquet files are made."""


def to_store(tables: Iterable[pa.Table], store: Store) -> Iterator[Outcome]:
    """Write embedded rows to a store; an earlier version of a document goes after the new is there.

    Args:
        tables: From `EmbedDocuments`; those that are `known` are in the store already.
        store: Open for writing; of a `SpannedStore`, the spans are written, too.

    Yields:
        What became of each document, once it is settled.
    """
    had = ids_by_name(store)
    seen: set[str] = set()
    for table in tables:
        rows = table.drop_columns(_LARGE & set(table.column_names)).to_pylist()
        outcomes = [_outcome(row, had, seen) for row in rows]
        written = [one.status in ("added", "replaced") for one in outcomes]
        _write(store, table.filter(written).combine_chunks())
        # Old versions go only after the new ones are there: a kill in between loses nothing, and
        # leaves some for this run.
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.status != "failed":
                store.delete(sorted(had.get(outcome.name, set()) - {row[ID]}))
            yield outcome


def _outcome(row: dict[str, Any], had: Mapping[str, set[str]], seen: set[str]) -> Outcome:
    """What becomes of a document, the first of its name."""
    name, size = row[SOURCE], row[SIZE]
    reason = row[ERROR]
    if name in seen:
        reason = "has the name of an earlier document of this run"
    elif reason is not None and name in had:
        reason += "; the store keeps its earlier version"
    seen.add(name)
    if reason is not None:
        return Outcome(name, "failed", size, reason=reason)
    if row[KNOWN]:
        return Outcome(name, "unchanged", size)
    return Outcome(name, "replaced" if name in had else "added", size, row[TOKENS], row[READ])


def _write(store: Store, table: pa.Table) -> None:
    """Write documents that are embedded, their spans first."""
    rows = table.drop_columns(_LARGE & set(table.column_names)).to_pylist()
    vectors = _vectors(table[VECTOR], len(rows))
    records = [
        Record(
            row[ID],
            text,
            vector,
            {name: row[name] for name in (SOURCE, TITLE, CONTENT_HASH, *COUNTS)},
        )
        for row, text, vector in zip(rows, table[TEXT].to_pylist(), vectors, strict=True)
    ]
    if isinstance(store, SpannedStore):
        store.spans.put(store.fingerprint, _spans(table, records))
    for part in batches(records, store.max_batch):
        store.write(part)


def _spans(table: pa.Table, records: Sequence[Record]) -> Iterator[DocumentSpans]:
    if not records:
        return
    counts = table[SPAN_VECTORS].combine_chunks().value_lengths().to_numpy()
    vectors = _vectors(table[SPAN_VECTORS].combine_chunks().flatten(), int(counts.sum()))
    ranges = table[SPAN_RANGES].combine_chunks().flatten().to_numpy().reshape(-1, 2)
    ends = np.cumsum(counts)
    for record, start, end in zip(records, ends - counts, ends, strict=True):
        length = max(float(np.linalg.norm(record.vector)), np.finfo(np.float32).tiny)
        yield DocumentSpans(
            record.id, ranges[start:end], record.vector / length, vectors[start:end]
        )


def _vectors(column: Any, count: int) -> NDArray[np.float32]:
    """A column of vectors, none of them null, shape (count, width)."""
    if not count:
        return np.zeros((0, 0), dtype=np.float32)
    values = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    return values.flatten().to_numpy().reshape(count, -1).astype(np.float32)


class WriteParquet:
    """Writes each batch to a file of its own, whole or not at all, for `map_batches`.

    The file `part-*.parquet` is named by the documents in it: done again after a kill, it is the
    same file. Documents that failed are in files `failed-*.parquet`, and are tried again.

    Args:
        place: The folder, or its URL in an object store.
    """

    def __init__(self, place: str) -> None:
        self._place = place

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Write those that are new, and pass on what tells their outcome."""
        from pyarrow import compute, parquet

        failed = compute.is_valid(rows[ERROR])
        for name, wanted in (
            ("part", compute.invert(compute.or_(rows[KNOWN], failed))),
            ("failed", failed),
        ):
            new = rows.filter(wanted).drop_columns([KNOWN])
            if len(new):
                digest = hashlib.sha256("".join(new[ID].to_pylist()).encode()).hexdigest()[:32]
                buffer = io.BytesIO()
                parquet.write_table(new, buffer, compression="zstd")
                write_bytes(f"{self._place}/{name}-{digest}.parquet", buffer.getvalue())
        return rows.select([SOURCE, SIZE, TOKENS, READ, ERROR, KNOWN])


def outcomes_of(tables: Iterable[pa.Table]) -> Iterator[Outcome]:
    """What became of the documents that `WriteParquet` has written.

    Args:
        tables: From it.
    """
    for table in tables:
        # Each row is in a file, whatever other rows are called.
        yield from (_outcome(row, {}, set()) for row in table.to_pylist())


def ids_in_parquet(place: str) -> list[str]:
    """The documents that a folder of Parquet files has.

    Args:
        place: The folder, or its URL.

    Raises:
        StoreError: If it cannot be read.
    """
    from pyarrow import ArrowException, dataset, fs

    try:
        system, path = system_of(place)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        names = (PurePosixPath(one.path) for one in found)
        files = [str(one) for one in names if one.match("part-*.parquet")]
        if not files:
            return []
        table = dataset.dataset(files, filesystem=system).to_table(columns=[ID])
    except (OSError, ArrowException) as error:
        raise StoreError(f"cannot read {place}: {error}") from error
    return [str(one) for one in table[ID].to_pylist()]


def settle_provenance(place: str, made_by: Provenance) -> None:
    """Note how the vectors of a folder are made, or refuse to put others to them.

    Args:
        place: The folder, or its URL.
        made_by: How those to come are made.

    Raises:
        ConfigError: If there are others.
        StoreError: If that cannot be written.
    """
    from pyarrow import fs

    system, path = system_of(place)
    file = f"{path}/{PROVENANCE}"
    if system.get_file_info(file).type == fs.FileType.File:
        with system.open_input_stream(file) as stream:
            stored = Provenance.from_json(bytes(stream.read()).decode())
        stored.refuse_incompatible(made_by, place)
    elif ids_in_parquet(place):
        raise ConfigError(
            f"{place} has Parquet files of which nothing tells how they were made: there is no "
            f"{PROVENANCE}. Name a new folder"
        )
    else:
        write_bytes(f"{place}/{PROVENANCE}", made_by.portable().to_json().encode())
