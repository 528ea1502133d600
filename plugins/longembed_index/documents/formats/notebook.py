"""The reader of Jupyter notebooks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from longembed_index.documents.formats.encodings import decode
from longembed_index.documents.formats.plain import replace_lone_surrogates
from longembed_index.documents.parsed import Parsed, clean_title, read_as

_FIRST_HEADING = re.compile(r"^# +(.+)", re.MULTILINE)


def read_notebook(data: bytes) -> Parsed:
    """Read a Jupyter notebook as Markdown: its texts and its code, without the results.

    Raises:
        InputError: If it cannot be read.
    """
    page = decode(data)
    with read_as("IPYNB"):
        notebook = json.loads(page.text)
        if not isinstance(notebook, dict) or not ("cells" in notebook or "worksheets" in notebook):
            raise ValueError("it has no cells")
        metadata = _mapping(notebook.get("metadata"))
        sheets = [notebook, *_list(notebook.get("worksheets"))]
        cells = [cell for sheet in sheets for cell in _list(_mapping(sheet).get("cells"))]
        blocks = [block for block in _blocks(cells, _language(metadata)) if block.strip()]
    parsed = replace_lone_surrogates("\n\n".join(blocks))
    heading = _FIRST_HEADING.search("\n\n".join(_texts(cells)))
    title = metadata.get("title") or (heading and heading[1]) or metadata.get("name")
    return Parsed(parsed.text, clean_title(title), (*page.left_out, *parsed.left_out))


def _blocks(cells: list[Any], language: str) -> Iterator[str]:
    for cell in map(_mapping, cells):
        source = _source(cell)
        kind = cell.get("cell_type")
        if kind == "code" and source.strip():
            fence = "~~~" if "```" in source else "```"
            yield f"{fence}{cell.get('language') or language}\n{source}\n{fence}"
        elif kind == "heading":
            level = cell.get("level")
            marks = "#" * level if isinstance(level, int) and 1 <= level <= 6 else "#"
            yield f"{marks} {' '.join(source.split())}"
        else:
            yield source


def _texts(cells: list[Any]) -> Iterator[str]:
    for cell in map(_mapping, cells):
        if cell.get("cell_type") in ("markdown", "heading"):
            yield from _blocks([cell], "")


def _source(cell: dict[str, Any]) -> str:
    # Format 3 has the text of a code cell as its input.
    source = cell.get("source", cell.get("input", ""))
    return "".join(map(str, source)) if isinstance(source, list) else str(source or "")


def _language(metadata: dict[str, Any]) -> str:
    language = _mapping(metadata.get("kernelspec")).get("language")
    return str(language or _mapping(metadata.get("language_info")).get("name") or "python")


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
