"""Documents that a program hands over: one by one, as rows of a table, or as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

from longembed_index.document import Document
from longembed_index.documents.folder import jsonl_rows
from longembed_st.errors import ConfigError

_FIELDS = {"id": str, "text": str, "title": str, "metadata": Mapping}
"""What a document has; other keys of a mapping, and columns of a table, are metadata."""

JSON_LINES = (".jsonl", ".ndjson")
"""Suffixes of files that have a JSON object in each line."""


def items_of(documents: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of an iterable, or the rows of a table as mappings.

    Args:
        documents: Any iterable; a DataFrame of pandas or Polars; a table, a record batch, a dataset
            or a reader of Arrow. In a row, values that are missing are left out, and dates become
            text.
    """
    table: Any = documents
    if hasattr(table, "itertuples"):
        names = [str(name) for name in table.columns]
        for values in table.itertuples(index=False, name=None):
            yield _row(zip(names, values, strict=True))
    elif hasattr(table, "iter_rows"):
        yield from (_row(row.items()) for row in table.iter_rows(named=True))
    else:
        whole = [table] if hasattr(table, "to_pylist") else table
        for item in table.to_batches() if hasattr(table, "to_batches") else whole:
            # A reader of Arrow yields batches, too.
            if hasattr(item, "to_pylist"):
                yield from (_row(row.items()) for row in item.to_pylist())
            else:
                yield item


def json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file that has a JSON object in each line, as those of a table.

    Raises:
        InputError: If it cannot be read, or a line is not an object.
    """
    return (_row(row.items()) for _, row in jsonl_rows(path))


def to_document(value: Document | Mapping[str, Any]) -> Document:
    """Return a document, or what a mapping describes as one.

    Args:
        value: A mapping has `id` and `text`, and perhaps `title` and `metadata`, to which its other
            keys are added.

    Raises:
        ConfigError: If id or text is missing, or has another type.
    """
    if isinstance(value, Document):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            "a document is a longembed_index.Document, or a mapping with id and text, not a "
            f"{type(value).__module__}.{type(value).__qualname__}: {value!r:.80}"
        )
    document = {name: value[name] for name in _FIELDS if value.get(name) is not None}
    if isinstance(document.get("id"), int):
        document["id"] = str(document["id"])
    for name, kind in _FIELDS.items():
        if name in document and not isinstance(document[name], kind):
            raise ConfigError(
                f"the {name} of a document is a {kind.__name__}, not a "
                f"{type(document[name]).__name__}: {document[name]!r:.80}"
            )
    if not {"id", "text"} <= document.keys():
        keys = ", ".join(repr(name) for name in value if value[name] is not None) or "nothing"
        raise ConfigError(f"a document needs id and text; this one has {keys}")
    others = {name: value[name] for name in value if name not in _FIELDS}
    document["metadata"] = {**others, **document.get("metadata", {})}
    return Document(**document)


def _row(cells: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    row = {name: plain for name, value in cells if (plain := _plain(value)) is not None}
    # Reported as empty, as a document of a file is.
    return {"text": "", **row} if "id" in row else row


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; None if it is missing."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    # NaN is not equal to itself; pandas has two more names for nothing.
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float) and value != value:
        return None
    return value.isoformat() if isinstance(value, date | time) else value
