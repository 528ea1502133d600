"""Read labelled pairs or whole documents, from files, folders or the hub, and check every row."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longembed_index.documents.folder import jsonl_rows, read_documents
from longembed_st.errors import ConfigError, InputError
from longembed_st.extras import needs_extra

QUERY_COLUMNS = ("query", "anchor", "question")
DOCUMENT_COLUMNS = ("document", "positive", "passage", "answer")
TEXT_COLUMN = "text"
TABLES = (".jsonl", ".jsonl.gz", ".parquet")
SHORTEST_DOCUMENT = 20
"""Characters. A shorter document is hardly a sentence."""


@dataclass(frozen=True)
class Example:
    """A query, the document that it should find, and documents that it should not."""

    query: str
    document: str
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A document without labels; its name says where it is from."""

    name: str
    text: str


def read_source(source: str) -> list[Example] | list[Document]:
    """Read labelled pairs, or documents without labels.

    Args:
        source: A file (.jsonl, .jsonl.gz, .parquet) with the columns query and document, perhaps
            negatives, or with the column text; a folder of documents; or a data set on the Hugging
            Face hub, as owner/name or owner/name:subset, with such columns.

    Returns:
        The examples or the documents, in order.

    Raises:
        ConfigError: If there is no such source, or it has other columns.
        InputError: If a row is empty or not a text, or a file cannot be read.
    """
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _rows(source, _file(path))
    if source.endswith(TABLES) or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise ConfigError(f"{source} does not exist")
    return _rows(source, _hub(source))


def documents_of(rows: Sequence[Example | Document], most: int, seed: int) -> list[str]:
    """Return the texts of at most `most` documents, drawn at random, without their labels."""
    texts = list(dict.fromkeys(r.document if isinstance(r, Example) else r.text for r in rows))
    return texts if len(texts) <= most else random.Random(seed).sample(texts, most)


def _folder(folder: Path) -> list[Document]:
    documents = read_documents(folder)
    if not documents:
        raise ConfigError(f"{folder} holds no document with a text")
    return [Document(name, text.strip()) for name, text in documents.items()]


def _file(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the rows of a file, each with its place."""
    if not path.name.endswith(TABLES):
        raise ConfigError(f"{path} is neither a folder nor a file of the types {', '.join(TABLES)}")
    return _parquet(path) if path.suffix == ".parquet" else jsonl_rows(path)


def _parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with needs_extra("train", "pyarrow"):
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InputError(f"{path} cannot be read as parquet: {error}") from None
    for number, row in enumerate(table.to_pylist(), 1):
        yield f"{path}, row {number}", row


def _hub(source: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with needs_extra("train", "datasets"):
        import datasets  # type: ignore[import-untyped]
    name, _, subset = source.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split="train")
    except Exception as error:  # The hub's libraries raise errors of many kinds.
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"{source!r} is not a file or folder, and cannot be loaded as a data set of the "
            f"Hugging Face hub ({reason})"
        ) from error
    for number, row in enumerate(rows, 1):
        yield f"{source}, row {number}", row


def _rows(
    source: str, rows: Iterable[tuple[str, Mapping[str, Any]]]
) -> list[Example] | list[Document]:
    """Return examples or documents, as the columns of the first row say."""
    placed = list(rows)
    if not placed:
        raise ConfigError(f"{source} is empty")
    _, first = placed[0]
    query, document = _first(first, QUERY_COLUMNS), _first(first, DOCUMENT_COLUMNS)
    if query and document:
        return _examples(placed, query, document)
    if TEXT_COLUMN in first:
        return [Document(place, _text(place, row, TEXT_COLUMN)) for place, row in placed]
    raise ConfigError(
        f"{source} has the columns {', '.join(map(str, first))}: name them query, document and "
        "perhaps negatives, or text for documents without labels"
    )


def _first(row: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _examples(
    rows: list[tuple[str, Mapping[str, Any]]], query: str, document: str
) -> list[Example]:
    examples: list[Example] = []
    for place, row in rows:
        example = Example(
            _text(place, row, query), _text(place, row, document), _negatives(place, row)
        )
        if len(example.document) < SHORTEST_DOCUMENT:
            raise InputError(
                f"{place}: {document!r} is shorter than a sentence ({example.document!r}); leave "
                "such rows out"
            )
        if examples and len(example.negatives) != len(examples[0].negatives):
            raise InputError(
                f"{place} has {len(example.negatives)} negatives, the first row has "
                f"{len(examples[0].negatives)}: give every row the same number"
            )
        examples.append(example)
    return examples


def _negatives(place: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the column `negatives`, or the columns `negative`, `negative_1`, ..."""
    negatives: list[str] = []
    for column in row:
        if column == "negatives" and isinstance(row[column], list):
            named = {f"negatives[{i}]": text for i, text in enumerate(row[column])}
            negatives += [_text(place, named, name) for name in named]
        elif column == "negatives" or column == "negative" or column.startswith("negative_"):
            negatives.append(_text(place, row, column))
    return tuple(negatives)


def _text(place: str, row: Mapping[str, Any], column: str) -> str:
    if column not in row:
        raise InputError(f"{place} has no column {column!r}")
    text = row[column]
    if not isinstance(text, str):
        raise InputError(f"{place}: {column!r} is a {type(text).__name__}, not a text")
    if not text.strip():
        raise InputError(f"{place}: {column!r} is empty")
    return text.strip()
