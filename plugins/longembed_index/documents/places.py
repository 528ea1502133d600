"""Where in a document something stands, as a person would look it up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from longembed_index.documents.parsed import PAGE_END
from longembed_index.documents.readers import MARKDOWN, suffix_of

HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
"""A line that is a heading of Markdown, with its marks and its title."""
_IN_CAPITALS = re.compile(
    r"(?:\A|\n[ \t]*\n|\f)[ \t]*((?:(?:[A-Z]+[ \t]+|§[ \t]*)?\d[\d.]{0,9}[ \t)]+)?"
    r"(?=[^\n]*[A-Z]{3})[^a-z\d\n.;:!?]{3,80}(?<![ \t]))[ \t]*(?=\n[ \t]*\n)"
)
"""A line in capitals, perhaps with a number, alone between blank lines: "4. GOVERNING LAW"."""
FENCE = re.compile(r" {0,3}(```[^`]*$|~~~)")
"""A line at which code begins or ends; "```code``` of its own line" is neither."""


@dataclass(frozen=True)
class Place:
    """A place in a document.

    Attributes:
        share: The share of the document's characters that stand before it, from 0 to 1.
        page: Counted from 1; None if the pages are not known.
        heading: The nearest heading above it; None without one, or if the text is not Markdown.
    """

    share: float
    page: int | None
    heading: str | None


def place_in(text: str, position: int, name: str) -> Place:
    """Return the share, page and heading of a place in a document.

    Pages are known of a text with form feeds, as PDFs without forms give; headings of what is
    Markdown, or is made Markdown when it is read.

    Args:
        text: All of the document.
        position: The character.
        name: The document's name; its suffix tells whether it is Markdown.
    """
    page = text.count(PAGE_END, 0, position) + 1 if PAGE_END in text else None
    is_markdown = suffix_of(PurePath(name)) in MARKDOWN
    heading = _heading_above(text, position) if is_markdown else None
    return Place(position / max(len(text), 1), page, heading)


class Heading(NamedTuple):
    """A heading of Markdown.

    Attributes:
        start: The place of its first mark.
        level: The number of its marks, from 1 to 6.
        title: The heading without its marks.
    """

    start: int
    level: int
    title: str


def headings_in(text: str) -> Iterator[Heading]:
    """Yield the headings of a Markdown text, but not the comments of its code."""
    start, in_code = 0, False
    for line in text.split("\n"):
        if FENCE.match(line):
            in_code = not in_code
        elif not in_code and (match := HEADING.fullmatch(line)):
            yield Heading(start + match.start(1), len(match[1]), match[2])
        start += len(line) + 1


def capital_lines_in(text: str) -> Iterator[int]:
    """Yield the places of lines in capitals that stand alone, as headings of a plain text do."""
    for match in _IN_CAPITALS.finditer(text):
        yield match.start(1)


def _heading_above(text: str, position: int) -> str | None:
    line_end = text.find("\n", position)
    above = text[: len(text) if line_end < 0 else line_end]
    titles = [heading.title for heading in headings_in(above) if heading.title]
    return titles[-1] if titles else None
