"""The documents of a store as a file that other programs read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.document import plain_left_out
from longembed_index.maintain.embedding import batches
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import write_atomically

if TYPE_CHECKING:
    from typing import BinaryIO

    from longembed_index.document import Record
    from longembed_index.store.protocol import Store, Where

_PARQUET_ROWS = 1_000


def export(store: Store, path: Path, where: Where | None = None, *, vectors: bool = True) -> int:
    """Write documents to a file, whole or not at all.

    A row has `id`, `source` (the same), `title`, `text`, `metadata`, `tokens`, `read`, `unknown`,
    `left_out` and `vector`; in Parquet, `metadata` and `left_out` are JSON.

    Returns:
        How many documents were written.

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
        for ids in batches([entry.id for entry in store.entries(where)]):
            for record in store.get(ids):
                count += 1
                yield _row(record, vectors)

    write_atomically(path, lambda file: writers[path.suffix](file, rows()))
    return count


def _row(record: Record, vectors: bool) -> dict[str, Any]:
    document = record.document
    row: dict[str, Any] = {
        "id": document.id,
        "source": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
        "tokens": record.coverage.tokens,
        "read": record.coverage.read,
        "unknown": record.coverage.unknown,
        "left_out": plain_left_out(record.left_out),
    }
    return {**row, "vector": record.vector.tolist()} if vectors else row


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
    names = ("id", "source", "title", "text", "metadata")
    schema = pa.schema(
        [
            *((name, pa.string()) for name in names),
            *((name, pa.int64()) for name in ("tokens", "read", "unknown")),
            ("left_out", pa.string()),
        ]
    )
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
            as_json = {
                name: json.dumps(row[name], ensure_ascii=False) for name in ("metadata", "left_out")
            }
            waiting.append({**row, **as_json})
            if len(waiting) >= _PARQUET_ROWS:
                flush()
        flush()
