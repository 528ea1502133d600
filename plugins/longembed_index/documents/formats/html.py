"""Web pages become Markdown, in one pass and without recursion: they may be nested thousands deep.

Headings, lists, tables and code keep their form. Emphasis and the targets of links are left out:
nobody asks for them, and they cut words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

from lxml import etree  # type: ignore[import-untyped]

from longembed_index.documents.formats.encodings import decode
from longembed_index.documents.formats.tables import Table
from longembed_index.documents.parsed import Parsed, clean_title, read_as

_DECLARED = re.compile(
    rb"""<meta[^>]{0,500}?charset\s*=\s*["']?\s*([-\w.:]+)|<\?xml[^>]{0,200}?encoding\s*=\s*["']([-\w.]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 4096

_RAW_TAG = re.compile(
    r"<(/?)(?:\w+:)?(?:xmp|iframe|noembed|noframes|noscript|plaintext)(?=[\s/>])", re.IGNORECASE
)
"""Elements whose content HTML takes for text, tags and all, in a browser with scripts."""
_SELF_CLOSED = re.compile(r"<(script|style|title|textarea)\b([^<>]*)/>", re.IGNORECASE)
"""XHTML allows this; in HTML it opens an element that swallows the rest."""

_SKIPPED = frozenset(("script", "style", "annotation", "annotation-xml", "metadata"))
_SPACED = frozenset(
    ("option", "button", "label", "input", "select", "textarea", "rt", "tspan", "img", "th", "td")
)
"""Inline elements whose text does not continue that of the one before."""
_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big br cite code data del dfn em font i image img ins kbd mark meter "
    "nobr output progress q rb rp ruby s samp small span strike strong sub sup time tt u var wbr "
    "math mi mn mo mrow mtext ms msup msub mfrac msqrt semantics param source track area base link "
    "meta col colgroup"
)
_INLINE = frozenset(_INLINE_NAMES.split()) | (_SPACED - {"th", "td"})
_TABLE = ("table", "tr", "td", "th")
_UNTYPED = ("hidden", "password", "checkbox", "radio", "file", "image", "color", "range")
"""Types of `<input>` whose value is not text."""

_SPACE = re.compile(r"[\s\u00a0]+")
_MARKUP = re.compile(r"^(#{1,6}[ \t]|```|~~~)")
"""What would be a heading or code in Markdown."""
_DEEPEST_LIST = 8
_LINE_BREAK = "\v"
"""Stands for `<br>`: a line end of the page's source is a space."""


def read_html(data: bytes) -> Parsed:
    """Read a web page as Markdown, scripts and styles left out.

    Args:
        data: The file, in UTF-8 or in the encoding that it declares.

    Raises:
        InputError: If it cannot be read.
    """
    head = data[:_DECLARED_WITHIN].replace(b"\0", b"")
    match = _DECLARED.search(head)
    declared = (match[1] or match[2]).decode() if match else ""
    # A page that can be read this far is not in UTF-16, whatever it says.
    page = decode(data, "" if declared.lower().startswith(("utf-16", "unicode")) else declared)
    parsed = parse_html(page.text)
    return Parsed(parsed.text, parsed.title, page.left_out)


def parse_html(page: str) -> Parsed:
    """Read a decoded web page as Markdown; see `read_html`.

    Raises:
        InputError: If it cannot be read.
    """
    writer = _MarkdownWriter()
    with read_as("HTML"):
        parser = etree.HTMLParser(target=writer, encoding="utf-8", huge_tree=True)
        parser.feed(_prepared(page).encode("utf-8", "replace"))
        text: str = parser.close()
    return Parsed(text, clean_title(writer.title))


def _prepared(page: str) -> str:
    """Return a page without the constructs from which on a browser would not show the rest."""
    page = page.replace("\0", " ")
    before, *sections = page.split("<![CDATA[")
    parts = [section.partition("]]>") for section in sections]
    page = before + "".join(
        escape(text, quote=False) + rest if end else text for text, end, rest in parts
    )
    page = _SELF_CLOSED.sub(r"<\1\2></\1>", page)
    page = _RAW_TAG.sub(r"<\1div", page)
    comment = max(page.rfind("-->"), page.rfind("--!>"))
    unclosed = page.find("<!--", comment + 1)
    if unclosed >= 0:
        page = page[:unclosed] + page[unclosed:].replace("<!--", " ")
    for name in ("title", "textarea"):
        end = page.lower().rfind(f"</{name}")
        start = page.lower().find(f"<{name}", end + 1)
        if start >= 0:
            page = page[:start] + re.sub(f"(?i)<{name}", "<p", page[start:])
    return f"{page}\n"


class _MarkdownWriter:
    """Take the events of a parser, in the order of the page."""

    def __init__(self) -> None:
        self.title = ""
        self._blocks: list[str] = []
        self._words: list[str] = []
        """The text of the block that is being read, in pieces."""
        self._prefix = ""
        self._lists: list[int | None] = []
        """For each open list the number of its next item; None without numbers."""
        self._tables: list[Table] = []
        self._skipped: list[str] = []
        self._titles = self._svgs = self._code = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        tag = _local(name)
        if self._skipped or tag in _SKIPPED:
            if tag in _SKIPPED:
                self._skipped.append(tag)
            return
        if tag == "title" and not self._svgs:
            self._titles += 1
        elif tag in _TABLE:
            self._start_table(tag, attributes)
        elif tag == "br":
            self._words.append("\n" if self._code else _LINE_BREAK)
        elif tag not in _INLINE and "-" not in tag:
            self._start_block(tag, attributes)
        elif tag in _SPACED or "-" in tag:
            self._words.append(" ")
        if tag in ("img", "image", "area") or (tag == "input" and _has_value(attributes)):
            text = attributes.get("alt") or attributes.get("value") or ""
            self._words.append(f" {text} ")
        elif tag == "sup" and self._words and self._words[-1][-1:].isdigit():
            # Not to make 106 of ten to the power of six.
            self._words.append("^")

    def end(self, name: str) -> None:
        """End an element."""
        tag = _local(name)
        if self._skipped:
            if tag == self._skipped[-1]:
                self._skipped.pop()
            return
        if tag == "title" and self._titles:
            self._titles -= 1
        elif tag in _TABLE:
            self._end_table(tag)
        elif tag not in _INLINE and "-" not in tag:
            self._flush()
            if tag in ("ul", "ol", "menu", "dir") and self._lists:
                self._lists.pop()
            elif tag == "svg":
                self._svgs = max(self._svgs - 1, 0)
            elif tag == "pre":
                self._code = 0
        elif tag in _SPACED or "-" in tag:
            self._words.append(" ")

    def data(self, text: str) -> None:
        """Take text."""
        if self._skipped:
            return
        if self._titles:
            self.title += text
        else:
            self._words.append(text.replace("\u00ad", "").replace(_LINE_BREAK, " "))

    def comment(self, _text: str) -> None:
        """Leave out a comment."""

    def close(self) -> str:
        """End the page, and return all of it."""
        while self._tables:
            self._end_table("table")
        self._flush()
        text = "\n".join(self._blocks)
        return re.sub(r"\n{3,}", "\n\n", text).strip("\n")

    def _start_block(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in ("pre", "h1", "h2", "h3", "h4", "h5", "h6"):
            self._lay_out()
        self._flush()
        if tag in ("ul", "ol", "menu", "dir"):
            first = attributes.get("start", "1")
            number = int(first) if first.isascii() and first.isdigit() and len(first) < 7 else 1
            self._lists.append(number if tag == "ol" else None)
        elif tag == "li":
            self._prefix = self._bullet()
        elif tag == "svg":
            self._svgs += 1
        elif tag == "pre":
            self._code = 1
        elif tag[0] == "h" and tag[1:] in tuple("123456"):
            self._prefix = "#" * int(tag[1:]) + " "

    def _bullet(self) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), _DEEPEST_LIST)
        if not self._lists or self._lists[-1] is None:
            return f"{indent}- "
        self._lists[-1] += 1
        return f"{indent}{self._lists[-1] - 1}. "

    def _flush(self) -> None:
        """End the block that is being read."""
        text, prefix = "".join(self._words), self._prefix
        self._words.clear()
        if self._tables and self._tables[-1].is_in_cell:
            self._tables[-1].add(f"{prefix.strip()} {_in_one_line(text)}")
            self._prefix = ""
            return
        if self._code:
            code = text.replace("\u00a0", " ").replace("\f", "\n").strip("\n")
            if code.strip():
                fence = "~~~" if "```" in code else "```"
                self._blocks.append(f"\n{fence}\n{code}\n{fence}\n")
            return
        lines = [_in_one_line(line) for line in text.split(_LINE_BREAK)]
        lines = [line for line in lines if line]
        if not lines:
            return
        self._prefix = ""
        if prefix.startswith("#"):
            self._blocks.append(f"\n{prefix}{' '.join(lines)}\n")
        elif prefix:
            hanging = "\n" + " " * len(prefix)
            self._blocks.append(prefix + hanging.join(lines))
        else:
            self._blocks.append("\n" + "\n".join(map(_escaped, lines)) + "\n")

    def _start_table(self, tag: str, attributes: Mapping[str, str]) -> None:
        table = self._tables[-1] if self._tables else None
        if tag == "table":
            self._lay_out()
            self._flush()
            is_layout = attributes.get("role") in ("presentation", "none")
            self._tables.append(Table(is_layout=is_layout))
            return
        self._flush()
        if table is None or table.is_layout:
            return
        if tag == "tr":
            table.end_row()
        else:
            table.start_cell(attributes, is_header=tag == "th")

    def _end_table(self, tag: str) -> None:
        self._flush()
        table = self._tables[-1] if self._tables else None
        if table is None:
            return
        if tag == "table":
            self._tables.pop()
            self._add_rows(table)
        elif tag == "tr":
            table.end_row()
        else:
            table.end_cell()

    def _add_rows(self, table: Table) -> None:
        rows = table.as_markdown()
        if rows:
            self._blocks.append(f"\n{rows}\n")

    def _lay_out(self) -> None:
        """Take the innermost table for a layout if a cell of it is open: its cells are blocks.

        Those around it are layouts already, or have no open cell.
        """
        table = self._tables[-1] if self._tables else None
        if table is not None and table.is_in_cell:
            self._blocks += [f"\n{text}\n" for text in table.as_blocks()]
            table.is_layout = True


def _local(name: str) -> str:
    """Return the name of an element without the prefix of its namespace."""
    return name.rpartition(":")[2].lower() or "p"


def _in_one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip(" ")


def _escaped(line: str) -> str:
    return f"\\{line}" if _MARKUP.match(line) else line


def _has_value(attributes: Mapping[str, str]) -> bool:
    return attributes.get("type", "text").lower() not in _UNTYPED
