"""The reader of workbooks.

The cells are read from the XML itself, a row at a time: openpyxl refuses files with an unknown
style, does not tell formulas without a stored value from empty cells when it reads values, and
fills in all cells of sparse rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from longembed_index.documents.formats.archives import Package
from longembed_index.documents.formats.census import THREADED, parsed_package
from longembed_index.documents.formats.number_formats import (
    BUILT_IN,
    DAY_0,
    DAY_0_OF_1904,
    GENERAL,
    shown,
)
from longembed_index.documents.formats.office_xml import (
    alternative_text,
    chart_lines,
    choose_alternates,
    diagram_lines,
    local,
    not_a_heading,
    shape_lines,
    unescaped,
)
from longembed_index.documents.parsed import LeftOut, Parsed, read_as

_BOOK = "xl/workbook.xml"
_LONGEST_GAP = 20
"""Empty cells between two, at most, that are shown."""
_LONGEST_COLUMN = 3
_MOST_DIGITS = 9
_MARGIN_CODE = re.compile(r'&("[^"]*"|K[0-9A-F]{6}|\d+|.)')
"""Fonts, page numbers and the like in the header of a sheet."""
_MIDNIGHT = re.compile(r"T00:00:00(\.0+)?Z?$")


def read_xlsx(data: bytes) -> Parsed:
    """Read a workbook: each sheet under its name, each row as a line.

    Raises:
        InputError: If it cannot be read.
    """
    with read_as("XLSX"):
        package = Package(data)
        book = _Book.of(package)
        lines: list[str] = []
        for name, part in book.sheets:
            lines += [f"## {name}", "", *_sheet_lines(book, name, part), ""]
        read = {part for _, part in book.sheets}
        package.left_out += [
            LeftOut(part, "sheets that the workbook does not list")
            for part in package.names
            if part.startswith("xl/worksheets/sheet") and part not in read
        ]
        return parsed_package(package, "\n".join(lines))


@dataclass(frozen=True)
class _Book:
    """What the cells of a workbook refer to.

    Attributes:
        sheets: The name and the part of each.
        strings: The texts of cells, which share them.
        formats: The number format of each style.
        day_0: The day with the number 0.
        authors: The names of those who wrote comments, by their ids.
    """

    package: Package
    sheets: list[tuple[str, str]]
    strings: list[str]
    formats: list[str]
    day_0: datetime
    authors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, package: Package) -> _Book:
        name = package.main(_BOOK)
        root = package.tree(name)
        parts = package.related(name)
        sheets = []
        for sheet in root.iter("{*}sheet"):
            ids = [value for key, value in sheet.attrib.items() if key.endswith("}id")]
            if ids and ids[0] in parts:
                sheets.append((sheet.get("name", ""), parts[ids[0]]))
            else:
                missing = LeftOut(
                    f"sheet {sheet.get('name')}", "sheets that the file does not have"
                )
                package.left_out.append(missing)
        strings = [
            text
            for part in package.related(name, "sharedStrings").values()
            for text in _strings(package, part)
        ]
        formats = [
            code
            for part in package.related(name, "styles").values()
            for code in _formats(package.tree(part))
        ]
        is_1904 = any(pr.get("date1904") in ("1", "true") for pr in root.iter("{*}workbookPr"))
        authors = {
            person.get("id", ""): person.get("displayName", "")
            for part in package.related(name, "person").values()
            for person in package.tree(part)
        }
        return cls(package, sheets, strings, formats, DAY_0_OF_1904 if is_1904 else DAY_0, authors)


def _strings(package: Package, part: str) -> Iterator[str]:
    for item in package.stream(part, "si"):
        yield _rich_text(item)


def _rich_text(item: Any) -> str:
    """Return the text of an item, without the pronunciation that may stand beside it."""
    runs = item.iterfind("{*}r/{*}t") if item.find("{*}r") is not None else item.iterfind("{*}t")
    return unescaped("".join(run.text or "" for run in runs))


def _formats(root: Any) -> list[str]:
    codes = {
        element.get("numFmtId"): element.get("formatCode", GENERAL)
        for element in root.iter("{*}numFmt")
    }
    styles = root.find("{*}cellXfs")
    ids = [style.get("numFmtId", "0") for style in styles] if styles is not None else []
    return [codes.get(id_) or BUILT_IN.get(_index(id_), GENERAL) for id_ in ids]


def _sheet_lines(book: _Book, name: str, part: str) -> Iterator[str]:
    """Yield the rows of a sheet, the comments on them, and what is drawn on it."""
    package = book.package
    comments = _comments(book, part)
    number = without_value = 0
    margins: list[str] = []
    for element in package.stream(part, "row", "headerFooter"):
        if local(element) == "headerFooter":
            margins += _margin_lines(element)
            continue
        number = _index(element.get("r", "")) or number + 1
        cells: list[tuple[int, str]] = []
        column = 0
        for cell in element.iterchildren("{*}c"):
            column = _column(cell.get("r", "")) or column + 1
            text = " ".join(_cell_text(book, cell).split())
            if text:
                cells.append((column, text))
            elif cell.find("{*}f") is not None and cell.get("t") != "str":
                without_value += 1
        if cells:
            yield not_a_heading(_row_line(cells))
        yield from comments.pop(number, ())
    for on_no_row in comments.values():
        yield from on_no_row
    if without_value:
        what = "formulas without a stored value"
        package.left_out.append(LeftOut(f"sheet {name}", what, without_value))
    yield from margins
    for drawing in package.related(part, "drawing").values():
        yield from _drawn(package, drawing)


def _index(text: str) -> int:
    """Return a number of a row or the like; 0 if it is none."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0


def _column(reference: str) -> int:
    """Return the number of a cell's column, counted from 1; 0 if it is not known."""
    number = 0
    for letter in reference.rstrip("0123456789")[:_LONGEST_COLUMN]:
        number = number * 26 + ord(letter.upper()) - ord("A") + 1
    return number


def _row_line(cells: list[tuple[int, str]]) -> str:
    pieces, last = "", 1
    for column, text in cells:
        pieces += " | " * max(min(column - last, _LONGEST_GAP), bool(pieces)) + text
        last = column
    return pieces.lstrip()


def _cell_text(book: _Book, cell: Any) -> str:
    kind, value = cell.get("t", "n"), cell.findtext("{*}v") or ""
    if kind == "inlineStr":
        inline = cell.find("{*}is")
        return "" if inline is None else _rich_text(inline)
    if kind == "s":
        return book.strings[_index(value)] if _index(value) < len(book.strings) else ""
    if kind == "b":
        return {"1": "TRUE", "0": "FALSE"}.get(value, value)
    if kind == "d":
        return _MIDNIGHT.sub("", value)
    if kind == "n" and value:
        style = _index(cell.get("s", "0"))
        code = book.formats[style] if style < len(book.formats) else GENERAL
        return shown(value, code, book.day_0)
    return unescaped(value)


def _comments(book: _Book, sheet: str) -> dict[int, list[str]]:
    """Return the comments on the cells of each row."""
    package = book.package
    comments: dict[int, list[str]] = {}

    def add(reference: str, author: str, text: str) -> None:
        text = " ".join(text.split())
        digits = reference.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ$")
        row = _index(digits)
        if text and not text.startswith(THREADED):
            by = f" ({author})" if author and not text.startswith(author) else ""
            comments.setdefault(row, []).append(f"Comment on {reference}{by}: {text}")

    for part in package.related(sheet, "comments").values():
        root = package.tree(part)
        authors = [author.text or "" for author in root.iter("{*}author")]
        for comment in root.iter("{*}comment"):
            number = _index(comment.get("authorId", ""))
            text = comment.find("{*}text")
            if text is not None:
                add(
                    comment.get("ref", ""),
                    authors[number] if number < len(authors) else "",
                    _rich_text(text),
                )
    for part in package.related(sheet, "threadedComment").values():
        for comment in package.tree(part).iter("{*}threadedComment"):
            author = book.authors.get(comment.get("personId", ""), "")
            add(comment.get("ref", ""), author, comment.findtext("{*}text") or "")
    return comments


def _margin_lines(element: Any) -> list[str]:
    """Return the headers and footers that are printed on each page of a sheet, each once.

    "Page &P" and "&P of &N", which spreadsheet programs write by themselves, are left out.
    """
    texts = []
    for margin in element:
        words = _MARGIN_CODE.sub(" ", margin.text or "").split()
        if "&P" not in (margin.text or "") or len(words) > 1:
            texts.append(" ".join(words))
    return list(dict.fromkeys(filter(None, texts)))


def _drawn(package: Package, part: str) -> Iterator[str]:
    """Yield the texts of boxes, charts and diagrams."""
    root = package.tree(part)
    choose_alternates(root)
    yield from shape_lines(root)
    yield from filter(None, map(alternative_text, root.iter("{*}cNvPr")))
    for kind, target in ((r.kind, r.target) for r in package.relations(part)):
        if kind in ("chart", "chartEx"):
            yield from chart_lines(package.tree(target))
        elif kind == "diagramData":
            yield from diagram_lines(package.tree(target))
