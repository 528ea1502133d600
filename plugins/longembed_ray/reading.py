"""From files and tables, here or in an object store, to a dataset of documents.

Parquet is read by `ray.data.read_parquet`. Documents and JSON lines are read here: what Ray has for
them (`read_binary_files`, `read_json`) ends the whole run at one file that vanishes or one line
that is broken.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Document
from longembed_index.documents.files import find_files
from longembed_index.documents.parsing import Limits, Parser
from longembed_index.documents.readers import READERS, suffix_of
from longembed_index.documents.sources import FileSource, TextSource, content_of, readable_of
from longembed_index.store.stored_values import left_out_to_json
from longembed_ray import columns
from longembed_ray.files import file_system_of, read_bytes
from longembed_st.base.texts import escaped, is_url
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    from ray.data import Dataset

_JSON_LINES = (".jsonl", ".jsonl.gz")
_KEYS = (columns.TEXT, columns.ID, "source", columns.TITLE, columns.METADATA)
_ROWS = 32
_THREADS = 16


@dataclass(frozen=True, order=True)
class Input:
    """A file to read.

    Attributes:
        name: Its path or URL.
        size: In bytes.
    """

    name: str
    size: int


@dataclass(frozen=True)
class Row:
    """A document, before it is embedded; the fields are columns."""

    id: str
    size: int = 0
    text: str | None = None
    title: str = ""
    content_hash: str = ""
    metadata: str = "{}"
    left_out: str | None = None
    error: str | None = None
    known: bool = False


def find_inputs(
    paths: Sequence[Path | str],
    exclude_folder: Path | str | None = None,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
) -> tuple[list[Input], list[tuple[str, str]]]:
    """Find the documents and tables under some paths and URLs.

    Args:
        paths: Files, folders, and URLs of either in an object store.
        exclude_folder: A folder not to look into, or its URL: where the result goes.
        include: Patterns of files in local folders; see `documents.files.find_files`.
        exclude: Patterns of files to leave out.
        follow_links: Whether to follow links in local folders that lead out of the paths.

    Returns:
        The files, sorted by name, and what cannot be read, with the reason.

    Raises:
        InputError: If a path or URL does not exist.
    """
    local = [Path(path) for path in paths if not is_url(str(path))]
    excluded = str(exclude_folder or "")
    local_exclude = Path(excluded) if excluded and not is_url(excluded) else None
    listing = find_files(
        local, local_exclude, include=include, exclude=exclude, follow_links=follow_links
    )
    inputs = {Input(file.id, file.size) for file in listing.files}
    # `find_files` looks for documents, and a table is not one.
    tables = [path for path in listing.skipped if _is_table(path.name) and path.is_file()]
    inputs |= {Input(str(path.resolve()), path.stat().st_size) for path in tables}
    for url in (str(path) for path in paths if is_url(str(path))):
        below = _list_url(url)
        inputs |= {file for file in below if not file.name.startswith(f"{excluded.rstrip('/')}/")}
    files = sorted(inputs)
    with ThreadPoolExecutor(_THREADS) as threads:
        damages = dict(zip(files, threads.map(_damage_of, files), strict=True))
    damaged = [(file.name, reason) for file, reason in damages.items() if reason]
    return [file for file in files if not damages[file]], listing.unreadable + damaged


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _is_table(name: str) -> bool:
    return _is_parquet(name) or name.lower().endswith(_JSON_LINES)


def _list_url(url: str) -> set[Input]:
    with needs_extra("ray", "pyarrow"):
        from pyarrow import fs

    try:
        system, path = file_system_of(url)
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return {Input(url, info.size)}
        if info.type == fs.FileType.NotFound:
            raise InputError(f"{url} does not exist")
        below = system.get_file_info(fs.FileSelector(path, recursive=True))
    except (OSError, ValueError) as error:
        raise InputError(f"{url} cannot be listed: {error}") from None
    prefix = len(path.rstrip("/"))
    return {
        Input(url.rstrip("/") + file.path[prefix:], file.size)
        for file in below
        if file.type == fs.FileType.File
        and (_is_table(file.path) or suffix_of(PurePosixPath(file.path)) in READERS)
    }


def _damage_of(file: Input) -> str:
    """Return why a file would end the whole run if it were read; empty if it would not."""
    try:
        file.name.encode()
    except UnicodeEncodeError:
        return "cannot be read: its name is not valid Unicode"
    if not _is_parquet(file.name):
        return ""
    with needs_extra("ray", "pyarrow"):
        from pyarrow import ArrowException, parquet

    try:
        system, path = file_system_of(file.name)
        names = parquet.read_schema(path, filesystem=system).names
    except (OSError, ArrowException) as error:
        return f"cannot be read: {error}"
    return "" if columns.TEXT in names else f"has no column {columns.TEXT!r}"


def read_documents(
    inputs: Sequence[Input], limits: Limits, known: Iterable[str], tasks: int
) -> Dataset:
    """Return a dataset of `Row`s of the documents in some files, read when it is consumed.

    Args:
        inputs: From `find_inputs`; at least one.
        limits: For the parsing of one file.
        known: Keys (`columns.version_key`) of the versions that are stored already; their rows have
            no text.
        tasks: How many files are read at the same time.

    Raises:
        InputError: If the Parquet files have the same column with different types.
    """
    import ray
    from ray.data import TaskPoolStrategy

    # Reading costs little beside embedding: all cores belong to the actors.
    options: Any = {"compute": TaskPoolStrategy(size=tasks), "num_cpus": 0}
    keys = {"known": ray.put(sorted_keys(known))}
    parquet = [file.name for file in inputs if _is_parquet(file.name)]
    datasets = []
    # One file system each.
    for paths in ([p for p in parquet if is_url(p)], [p for p in parquet if not is_url(p)]):
        if paths:
            table = _parquet_dataset(paths, tasks)
            read: Any = _read_parquet
            datasets.append(
                table.map_batches(read, batch_format="pyarrow", fn_kwargs=keys, **options)
            )
    if files := [vars(file) for file in inputs if not _is_parquet(file.name)]:
        items = ray.data.from_items(files, override_num_blocks=min(len(files), 1000))
        read = _read_files
        arguments = {**keys, "limits": limits}
        datasets.append(items.map_batches(read, batch_size=1, fn_kwargs=arguments, **options))
    first, *others = datasets
    return first.union(*others) if others else first


def _parquet_dataset(paths: list[str], tasks: int) -> Dataset:
    import ray
    from pyarrow import ArrowException

    try:
        dataset = ray.data.read_parquet(
            paths,
            include_paths=True,
            partitioning=None,
            file_extensions=None,
            concurrency=tasks,
            num_cpus=0,
        )
    except ArrowException as error:
        raise InputError(f"the Parquet files cannot be read together: {error}") from None
    schema: Any = dataset.schema()
    names = ["path", *(key for key in _KEYS if key in schema.names)]
    return dataset.select_columns(names, num_cpus=0)


def sorted_keys(known: Iterable[str]) -> NDArray[np.bytes_]:
    """Return keys of versions as an array that all processes of a machine share."""
    return np.sort(np.array([*known, ""], dtype="S32"))


def _read_parquet(table: pa.Table, known: Any) -> Iterator[pa.Table]:
    import ray

    rows = (_row_of_item(item["path"], item["path"], item) for item in table.to_pylist())
    yield from tables_of(rows, ray.get(known))


def _read_files(batch: Mapping[str, Any], known: Any, limits: Limits) -> Iterator[pa.Table]:
    import ray

    for name, size in zip(batch["name"], batch["size"], strict=True):
        rows = rows_of_file(Input(str(name), int(size)), _parser(limits))
        yield from tables_of(rows, ray.get(known))


@cache
def _parser(limits: Limits) -> Parser:
    # It has a process of its own, which is started once.
    return Parser(limits)


def rows_of_file(file: Input, parser: Parser) -> Iterator[Row]:
    """Yield the documents of a file; a file that cannot be read is a row with an error."""
    try:
        if file.name.lower().endswith(_JSON_LINES):
            yield from _rows_of_json_lines(file.name)
        else:
            yield _row_of_document(file, parser)
    except InputError as error:
        yield Row(file.name, file.size, error=str(error))


def _row_of_document(file: Input, parser: Parser) -> Row:
    source = FileSource(Path(file.name), file.size, parser)
    content = read_bytes(file.name) if is_url(file.name) else content_of(source)
    parsed = readable_of(source, content)
    title = parsed.title or PurePosixPath(file.name).name
    left_out = left_out_to_json(parsed.left_out)
    metadata = json.dumps(dict(parsed.metadata))
    return Row(
        file.name, file.size, parsed.text, title, _digest(content), metadata, left_out=left_out
    )


def _rows_of_json_lines(name: str) -> Iterator[Row]:
    try:
        system, path = file_system_of(name)
        with system.open_input_stream(path, compression="detect") as stream:
            for number, line in enumerate(io.BufferedReader(stream), 1):
                if line.strip():
                    yield _row_of_line(name, f"{name}, line {number}", line)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read to its end: {error}") from None


def _row_of_line(name: str, place: str, line: bytes) -> Row:
    try:
        item = json.loads(line)
    except ValueError as error:
        return Row(place, len(line), error=f"is not valid JSON: {error}")
    if not isinstance(item, dict):
        return Row(place, len(line), error=f"is not a JSON object, but a {type(item).__name__}")
    return _row_of_item(name, place, item)


def _row_of_item(name: str, place: str, item: Mapping[str, Any]) -> Row:
    """Return the row of a document in the table `name`; `place` names it in messages."""
    text, title = item.get(columns.TEXT), item.get(columns.TITLE)
    metadata = item.get(columns.METADATA) or {}
    given_id = next((str(item[k]) for k in (columns.ID, "source") if item.get(k) is not None), "")
    try:
        if not isinstance(text, str):
            raise InputError(f"has no text in the column {columns.TEXT!r}")
        if not isinstance(metadata, dict):
            raise InputError(f"has a {type(metadata).__name__} as metadata, not an object")
        # A document without an id keeps the id that it gets here when rows move.
        document_id = given_id or f"{name}#{_digest(text.encode('utf8', 'surrogatepass'))[:16]}"
        source = TextSource(Document(document_id, text, metadata, str(title or "")))
        content = content_of(source)
        readable_of(source, content)
    except InputError as error:
        return Row(given_id or place, error=str(error))
    digest = _digest(content)
    return Row(source.id, len(content), text, source.title, digest, json.dumps(metadata))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tables_of(rows: Iterable[Row], known: NDArray[np.bytes_]) -> Iterator[pa.Table]:
    """Yield rows as tables of a few documents each; at least one table, perhaps empty."""
    import pyarrow as pa

    types = {columns.SIZE: pa.int64(), columns.KNOWN: pa.bool_()}
    names = [field.name for field in fields(Row)]
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names])
    remaining = iter(rows)
    batch = list(islice(remaining, _ROWS))
    while True:
        items = [vars(_checked(row, known)) for row in batch]
        yield pa.Table.from_pylist(items, schema=schema)
        batch = list(islice(remaining, _ROWS))
        if not batch:
            return


def _checked(row: Row, known: NDArray[np.bytes_]) -> Row:
    """Take the text from a row that is known, or that Arrow could not hold."""
    try:
        f"{row.id}{row.title}{row.text}".encode()
    except UnicodeEncodeError:
        return Row(escaped(row.id), row.size, error="has a character that is not valid Unicode")
    key = columns.version_key(row.id, row.content_hash).encode()
    place = np.searchsorted(known, key)
    is_known = bool(place < len(known) and known[place] == key)
    return replace(row, text=None, known=True) if is_known else row
