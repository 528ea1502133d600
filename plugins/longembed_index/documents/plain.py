"""Readers of files that are text already: plain text, Markdown, JSON, e-mail."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]

from longembed_index.documents.parsed import Parsed, clean_title
from longembed_st.errors import InputError

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose little-endian mark is the beginning of this one.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_FENCE = "---"
_LONGEST_FRONT_MATTER = 10_000
"""Characters. What is longer is a text between two lines."""


def decoded(data: bytes) -> str:
    """Decode bytes as UTF-8, or as their byte order mark says.

    Args:
        data: The file.

    Returns:
        The text, without the mark.

    Raises:
        InputError: If it is binary or in another encoding.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise InputError("is binary, not text") from None
        raise InputError(
            f"is not {encoding.upper()} text (byte {data[error.start]:#04x} at offset "
            f"{error.start}). Save it as UTF-8"
        ) from None
    if "\0" in text:
        raise InputError("is binary, not text: it has NUL characters")
    return text


def read_text(data: bytes) -> Parsed:
    """Read plain text, source code and CSV as they are.

    Args:
        data: The file.

    Raises:
        InputError: As `decoded`.
    """
    return Parsed(decoded(data))


def read_markdown(data: bytes) -> Parsed:
    """Read Markdown as it is, with the title of its front matter.

    Args:
        data: The file.

    Raises:
        InputError: As `decoded`.
    """
    text = decoded(data)
    return Parsed(text, clean_title(_front_matter(text).get("title")))


def read_json(data: bytes) -> Parsed:
    """Read JSON as lines of `key.key: value`, with its escapes decoded.

    Args:
        data: The file; what is not valid JSON is read as it is.

    Raises:
        InputError: As `decoded`.
    """
    return _read_values(data, lambda text: [json.loads(text)])


def read_json_lines(data: bytes) -> Parsed:
    """Read JSON lines, each value as `read_json` does, with an empty line between two.

    Args:
        data: The file; what is not valid JSON is read as it is.

    Raises:
        InputError: As `decoded`.
    """
    # Other line ends than "\n" may stand inside a line's strings.
    return _read_values(
        data, lambda text: [json.loads(line) for line in text.split("\n") if line.strip()]
    )


def _read_values(data: bytes, parse: Callable[[str], list[Any]]) -> Parsed:
    text = decoded(data)
    try:
        return Parsed("\n\n".join("\n".join(_lines(value)) for value in parse(text)))
    except (ValueError, RecursionError):
        return Parsed(text)


def _front_matter(text: str) -> dict[Any, Any]:
    """Return the YAML between two lines of dashes at the beginning; empty without it."""
    first, _, rest = text.partition("\n")
    end = rest[:_LONGEST_FRONT_MATTER].find(f"\n{_FENCE}")
    if first.rstrip() != _FENCE or end < 0:
        return {}
    try:
        values = yaml.safe_load(rest[:end])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _lines(value: Any) -> Iterator[str]:
    """Yield each value that is not a container, after the keys that lead to it."""
    # Not by recursion: arrays can be nested hundreds deep.
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            items = [(f"{key}.{name}" if key else name, item) for name, item in value.items()]
            waiting += reversed(items)
        elif isinstance(value, list):
            waiting += [(key, item) for item in reversed(value)]
        elif value is not None:
            written = value if isinstance(value, str) else json.dumps(value)
            yield f"{key}: {written}" if key else written
