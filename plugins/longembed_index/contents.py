"""What a store holds: to be listed, counted, taken elsewhere, or removed by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.embedding import ROWS, batches
from longembed_index.records import meets
from longembed_index.searching import hit_of
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import write_atomically

if TYPE_CHECKING:
    from typing import BinaryIO

    from longembed_index.records import Record
    from longembed_index.store import Store

_PARQUET_ROWS = 1_000


@dataclass(frozen=True)
class Entry:
    """A document of a store.

    Attributes:
        id: Of its record.
        source: Its name in the store.
        title: What a person calls it.
        characters: Of its text; None of a bare vector of another program.
        tokens: Its length; None if another program stored it.
        read: How many of its tokens the vector was computed from; None likewise.
    """

    id: str
    source: str
    title: str
    characters: int | None
    tokens: int | None
    read: int | None


def records_of(
    store: Store, patterns: Sequence[str] = (), where: Mapping[str, str] | None = None
) -> Iterator[Record]:
    """The records of some documents, by name.

    Args:
        store: The documents.
        patterns: Names, in which `*` stands for any characters and `?` for any one; a document
            needs one of them. None for all documents.
        where: What their metadata must be; see `records.meets`.
    """
    names = sorted((name, record_id) for record_id, name in store.names())
    wanted = [record_id for name, record_id in names if not patterns or _is_like(name, patterns)]
    for part in batches(wanted, ROWS):
        found = {record.id: record for record in store.get(part)}
        there = [found[record_id] for record_id in part if record_id in found]
        yield from (record for record in there if meets(record.metadata, where or {}))


def entry_of(record: Record) -> Entry:
    """What can be said of a document in a line.

    Args:
        record: Its record.
    """
    hit = hit_of(record.id, 0.0, record.metadata)
    characters = None if record.text is None else len(record.text)
    return Entry(record.id, hit.source, hit.title, characters, hit.tokens, hit.read)


def remove(store: Store, ids: Sequence[str]) -> None:
    """Remove records, with what is kept of them beside the store.

    Args:
        store: Open for writing; a `SpannedStore` forgets their spans, too.
        ids: Of the records.

    Raises:
        StoreError: If that cannot be written.
    """
    for part in batches(ids, store.max_batch):
        store.delete(part)


def export(records: Iterable[Record], path: Path, *, vectors: bool = True) -> int:
    """Write documents to a file that other programs read, whole or not at all.

    A row has `id`, `source`, `title`, `text`, `metadata` (in Parquet as JSON) and `vector`.

    Args:
        records: The documents; read one at a time.
        path: Ends in .jsonl or .parquet.
        vectors: Whether to write those.

    Returns:
        How many there were.

    Raises:
        ConfigError: If the name ends in something else.
        MissingExtraError: If Parquet is asked for without pyarrow.
    """
    writers = {".jsonl": _write_jsonl, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise ConfigError(f"{path.name!r} must end in {' or '.join(writers)}")
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for record in records:
            count += 1
            yield _row(record, vectors)

    write_atomically(path, lambda file: writers[path.suffix](file, rows()))
    return count


def as_dict(entry: Entry) -> dict[str, Any]:
    """An entry as plain data for JSON.

    Args:
        entry: The entry.
    """
    return asdict(entry)


def _is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _row(record: Record, vectors: bool) -> dict[str, Any]:
    entry = entry_of(record)
    row: dict[str, Any] = {
        "id": entry.id,
        "source": entry.source,
        "title": entry.title,
        "text": record.text,
        "metadata": dict(record.metadata),
    }
    if vectors:
        numbers = record.vector
        row["vector"] = None if numbers is None else [float(number) for number in numbers]
    return row


def _write_jsonl(file: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    for row in rows:
        # A lone surrogate has no place in UTF-8, but has one in JSON.
        try:
            line = json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            line = json.dumps(row).encode()
        file.write(line + b"\n")


def _write_parquet(file: BinaryIO, rows: Iterator[dict[str, Any]]) -> None:
    with needs_extra("parquet", "pyarrow"):
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    text = pa.string()
    fields = [(name, text) for name in ("id", "source", "title", "text", "metadata")]
    schema = pa.schema(fields)
    waiting: list[dict[str, Any]] = []
    first = next(rows, None)
    if first is not None and "vector" in first:
        schema = schema.append(pa.field("vector", pa.list_(pa.float32())))
    with pq.ParquetWriter(file, schema) as writer:

        def flush() -> None:
            if waiting:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting.clear()

        for row in chain([first] if first else [], rows):
            waiting.append({**row, "metadata": json.dumps(row["metadata"], ensure_ascii=False)})
            if len(waiting) >= _PARQUET_ROWS:
                flush()
        flush()
