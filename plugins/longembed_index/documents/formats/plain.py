"""Read files that are text already: plain text, Markdown, JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import yaml  # type: ignore[import-untyped]

from longembed_index.documents.formats.encodings import decode
from longembed_index.documents.parsed import LeftOut, Parsed, clean_title, date_field

_DECLARATION = re.compile(
    rb"""^[^\n\w]{0,4}[^\n]{0,80}?(?:coding\s*[:=]\s*|@charset\s+)["']?([-\w.]+)""", re.ASCII
)
"""A line that declares an encoding: `# -*- coding: latin-1 -*-`, `@charset "latin-1";`."""
_LATEX = re.compile(rb"^[^%\n]*\\(?:inputencoding\{|usepackage\[)([-\w]+)[\]}]", re.MULTILINE)
_LATEX_NAMES = {"ansinew": "cp1252", "applemac": "mac-roman", "latin9": "iso-8859-15"}

_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCE = "---"
_LONGEST_FRONT_MATTER = 10_000
"""In characters. A longer block between two lines of dashes is text, not front matter."""


def read_text(data: bytes) -> Parsed:
    """Read plain text, source code and CSV as they are.

    Args:
        data: The file, in UTF-8 or in the encoding that one of its first two lines declares.

    Raises:
        InputError: For the same reasons as `longembed_index.documents.formats.encodings.decode`.
    """
    return decode(data, _declared(data))


def read_markdown(data: bytes) -> Parsed:
    """Read Markdown as it is, with the title and the fields of its front matter.

    Raises:
        InputError: For the same reasons as `longembed_index.documents.formats.encodings.decode`.
    """
    page = decode(data)
    values = _front_matter(page.text)
    title = clean_title(values.get("title"))
    return Parsed(page.text, title, page.left_out, _fields(values))


def read_json(data: bytes) -> Parsed:
    """Read JSON as lines of `key.key: value`, with its escapes decoded.

    Args:
        data: The file. A file that is not valid JSON is read as plain text.

    Raises:
        InputError: For the same reasons as `longembed_index.documents.formats.encodings.decode`.
    """
    return _read_values(data, lambda text: [json.loads(text)])


def read_json_lines(data: bytes) -> Parsed:
    """Read JSON lines, each value as `read_json` does, with an empty line between two.

    Args:
        data: The file. A file with a line that is not valid JSON is read as plain text.

    Raises:
        InputError: For the same reasons as `longembed_index.documents.formats.encodings.decode`.
    """
    # Other line ends than "\n" may stand inside a line's strings.
    return _read_values(
        data, lambda text: [json.loads(line) for line in text.split("\n") if line.strip()]
    )


def _read_values(data: bytes, parse: Callable[[str], list[Any]]) -> Parsed:
    page = decode(data)
    try:
        text = "\n\n".join("\n".join(_lines(value)) for value in parse(page.text))
    except (ValueError, RecursionError):
        return page
    parsed = replace_lone_surrogates(text)
    return Parsed(parsed.text, left_out=(*page.left_out, *parsed.left_out))


def replace_lone_surrogates(text: str) -> Parsed:
    """Replace each lone surrogate of a text by U+FFFD, and report their number as left out.

    Args:
        text: A text from JSON, whose escapes can stand for half of a character.
    """
    halves = len(_SURROGATE.findall(text))
    lost = (LeftOut("", "halves of characters (lone surrogates)", halves),) if halves else ()
    return Parsed(_SURROGATE.sub("\ufffd", text) if halves else text, left_out=lost)


def _declared(data: bytes) -> str:
    """Return the encoding that the first lines declare, as in source code, or an empty string."""
    for line in data[:1000].split(b"\n")[:2]:
        if match := _DECLARATION.match(line):
            return match[1].decode()
    if match := _LATEX.search(data[:4000]):
        name = match[1].decode()
        return _LATEX_NAMES.get(name, name)
    return ""


def _front_matter(text: str) -> dict[Any, Any]:
    """Return the values of the YAML front matter; an empty dictionary if there is none."""
    first, _, rest = text.partition("\n")
    end = rest[:_LONGEST_FRONT_MATTER].find(f"\n{_FENCE}")
    if first.rstrip() != _FENCE or end < 0:
        return {}
    try:
        values = yaml.safe_load(rest[:end])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _fields(values: dict[Any, Any]) -> dict[str, Any]:
    """Return what a search can filter by: single values, and lists of these."""
    fields: dict[str, Any] = {}
    for key, value in values.items():
        members = value if isinstance(value, list) else [value]
        if key != "title" and all(map(_is_scalar, members)):
            plain = [item.isoformat() if isinstance(item, date) else item for item in members]
            fields[str(key)] = plain if isinstance(value, list) else plain[0]
    return {**fields, **date_field(fields.get("date"))}


def _is_scalar(value: object) -> bool:
    # JSON has no NaN and no infinity, which YAML has.
    is_finite = not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, str | int | float | date) and is_finite


def _lines(value: Any) -> Iterator[str]:
    """Yield a line for each value that is not a container, with the keys that lead to it."""
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
