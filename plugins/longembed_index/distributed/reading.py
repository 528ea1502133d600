"""From files and tables, here or in an object store, to rows of documents."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from longembed_index.distributed.embedding import ERROR, TEXT
from longembed_index.distributed.files import read_bytes, system_of
from longembed_index.ingestion import record_id_of
from longembed_index.parsing import Parser
from longembed_index.readers import READERS, suffix_of
from longembed_index.records import CONTENT_HASH, SOURCE, TITLE
from longembed_index.sources import FileSource, content_of, find_files, readable_of
from longembed_st.base.texts import has_text, is_url
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

ID, SIZE = "id", "size"
TABLES = (".parquet", ".jsonl", ".jsonl.gz")
"""Files of which each row is a document, with a column `text` and perhaps `source` and `title`."""
_ROWS = 32


@dataclass(frozen=True)
class Input:
    """A file to read.

    Attributes:
        name: Its path or URL.
        size: In bytes.
    """

    name: str
    size: int


def inputs_of(
    paths: Sequence[Path | str],
    exclude: Path | str | None = None,
    *,
    only: Sequence[str] = (),
    but: Sequence[str] = (),
) -> tuple[list[Input], list[tuple[str, str]]]:
    """The files under some paths and URLs.

    Args:
        paths: Files, folders, and URLs of either in an object store.
        exclude: A folder not to look into, or its URL: where the result goes.
        only: As for `sources.find_files`, for local folders.
        but: Likewise.

    Returns:
        The files, and what cannot be looked at, with the reason.

    Raises:
        InputError: If a path or URL does not exist.
    """
    local = [Path(path) for path in paths if not is_url(str(path))]
    is_here = exclude is not None and not is_url(str(exclude))
    found = find_files(local, Path(str(exclude)) if is_here else None, only=only, but=but)
    inputs = [Input(file.name, file.size) for file in found.files]
    # A table is not a document, so that the search for documents leaves it out.
    tables = [path for path in found.skipped if is_table(str(path)) and path.is_file()]
    inputs += [Input(str(path.resolve()), path.stat().st_size) for path in tables]
    for url in (str(path) for path in paths if is_url(str(path))):
        inputs += _listed(url)
    if exclude is not None:
        below = f"{str(exclude).rstrip('/')}/"
        inputs = [one for one in inputs if not one.name.startswith(below)]
    return sorted(set(inputs), key=lambda one: one.name), found.unreadable


def is_table(name: str) -> bool:
    """Whether each row of a file is a document.

    Args:
        name: Of the file.
    """
    return name.lower().endswith(TABLES)


def _listed(url: str) -> list[Input]:
    with needs_extra("ray", "pyarrow"):
        from pyarrow import fs

    try:
        system, path = system_of(url)
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return [Input(url, info.size)]
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{url} does not exist")
        below = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (OSError, ValueError) as error:
        raise InputError(f"{url} cannot be looked at: {error}") from None
    base = url.rstrip("/")
    return [
        Input(f"{base}{one.path[len(path.rstrip('/')) :]}", one.size)
        for one in below
        if one.type == fs.FileType.File
        and (is_table(one.path) or suffix_of(PurePosixPath(one.path)) in READERS)
    ]


def rows_of(name: str, size: int, parser: Parser) -> Iterator[dict[str, Any]]:
    """The documents of one file.

    Args:
        name: Its path or URL.
        size: In bytes.
        parser: Reads what is not plain text.

    Yields:
        Rows with `id`, `source`, `title`, `content_hash`, `text`, `size` and `error`: why there is
        no text, or null. What cannot be read at all is one row.
    """
    try:
        if is_table(name):
            yield from _table_rows(name)
        else:
            yield _document_row(name, size, parser)
    except InputError as error:
        yield _row(name, None, "", "", size, str(error))


def _document_row(name: str, size: int, parser: Parser) -> dict[str, Any]:
    source = FileSource(Path(name), size, parser)
    content = read_bytes(name) if is_url(name) else content_of(source)
    parsed = readable_of(source, content)
    title = parsed.title or PurePosixPath(name).name
    return _row(name, parsed.text, title, hashlib.sha256(content).hexdigest(), size, None)


def _table_rows(name: str) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(_objects(name), 1):
        source = str(row.get(SOURCE) or row.get(ID) or f"{name}#{number}")
        title = str(row.get(TITLE) or source)
        text = row.get(TEXT)
        if isinstance(text, str) and has_text(text):
            content = text.encode("utf8", "surrogatepass")
            yield _row(source, text, title, hashlib.sha256(content).hexdigest(), len(content), None)
        else:
            what = "no visible text" if isinstance(text, str) else "no text"
            yield _row(source, None, title, "", 0, f"has {what} in the column {TEXT!r}")


def _objects(name: str) -> Iterator[dict[str, Any]]:
    from pyarrow import ArrowInvalid, parquet

    try:
        with _opened(name) as file:
            if name.lower().endswith(".parquet"):
                for batch in parquet.ParquetFile(file).iter_batches(_ROWS):
                    yield from batch.to_pylist()
                return
            for line in file:
                if line.strip():
                    row = json.loads(line)
                    yield row if isinstance(row, dict) else {}
    except (OSError, EOFError, ValueError, ArrowInvalid) as error:
        raise InputError(f"cannot be read to its end: {error}") from None


def _opened(name: str) -> Any:
    content: Any = io.BytesIO(read_bytes(name)) if is_url(name) else name
    if name.lower().endswith(".gz"):
        return gzip.open(content)
    return content if is_url(name) else open(name, "rb")


def _row(
    source: str, text: str | None, title: str, digest: str, size: int, error: str | None
) -> dict[str, Any]:
    return {
        ID: record_id_of(source, digest),
        SOURCE: source,
        TITLE: title,
        CONTENT_HASH: digest,
        TEXT: text,
        SIZE: size,
        ERROR: error,
    }


def tables_of(rows: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
    """Rows as tables of some documents each.

    Args:
        rows: From `rows_of`.
    """
    import pyarrow as pa

    names = (ID, SOURCE, TITLE, CONTENT_HASH, TEXT)
    schema = pa.schema(
        [*((name, pa.string()) for name in names), (SIZE, pa.int64()), (ERROR, pa.string())]
    )
    waiting: list[dict[str, Any]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == _ROWS:
            yield pa.Table.from_pylist(waiting, schema=schema)
            waiting = []
    yield pa.Table.from_pylist(waiting, schema=schema)
