"""What a reader makes of a file, and how its failures are reported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from longembed_st.errors import InputError, LongEmbedError

PAGE_END = "\f"
"""Stands behind each page or slide, where they are known."""

SCANNED = "pages with pictures and no text (scanned? See --ocr)"
"""What `LeftOut` says of pages that an OCR command could read."""

_LONGEST_TITLE = 200
_DATE = re.compile(r"\s*(?:D:)?(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
_PROGRAM = re.compile(r"^Microsoft (Word|PowerPoint|Excel) - ", re.IGNORECASE)
_NUMBER = re.compile(r"[\W\d_]{5,}|[\W_]*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The number of a register, or the random name of a file; "1984" can be a title."""
_FILE_NAME = re.compile(
    r".*\.(docm|docx?|dot|dvi|fm|indd|odt|pdf|pmd|pptx?|ps|pub|qx[dp]|rtf|tex|tmp|txt|wp[ds]|xlsx?)",
    re.IGNORECASE,
)
"""The name of the file that a document was made from."""
_NO_TITLE = re.compile(
    r"((untitled|unbenannt|sans titre|new|neues|microsoft word|powerpoint)[ -]?)?"
    r"(document|dokument|layout|presentation|pr\u00e4sentation|slide|folie)[ -]?\d*"
    r"|(untitled|unbenannt|sans titre)[ -]?\d*|pr\u00e9sentation powerpoint"
    r"|no title|title|none|null",
    re.IGNORECASE,
)
"""What programs write where nobody gave a title."""


@dataclass(frozen=True)
class LeftOut:
    """A part of a file that was not read.

    Attributes:
        where: The part, as a person would look it up: "pages 3-9", "sheet Budget", "chapter
            text/ch2.xhtml"; empty for the whole file.
        what: What was not read, as a plural noun: "pages with pictures and no text (scanned?)".
        count: How many of these.
    """

    where: str
    what: str
    count: int = 1

    def __str__(self) -> str:
        # The noun is plural, so that it needs a number above 1, or none.
        count = f"{self.count:,} " if self.count > 1 else ""
        return f"{self.where}: {count}{self.what}".removeprefix(": ")


@dataclass(frozen=True)
class Parsed:
    """A document as text.

    Attributes:
        text: All of it. Pages and slides end with a form feed where they are known; headings are
            those of Markdown.
        title: What the document calls itself; empty if it does not.
        left_out: The parts of the file that are not in the text.
        metadata: What the file says about the document: the fields of its front matter, `date`,
            `pages`.
    """

    text: str
    title: str = ""
    left_out: tuple[LeftOut, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def clean_title(title: object) -> str:
    """Return a title in one line; empty if it is useless, as the file's own name says more.

    Useless are a number, the name of another file, and what a program writes where nobody gave a
    title.

    Args:
        title: The title in the file; None without one.
    """
    line = _PROGRAM.sub("", " ".join(str(title or "").split()))
    is_useless = any(pattern.fullmatch(line) for pattern in (_NUMBER, _FILE_NAME, _NO_TITLE))
    return "" if is_useless else line[:_LONGEST_TITLE]


def date_field(text: object) -> dict[str, str]:
    """Return the field `date`, as YYYY-MM-DD; empty if a text does not begin with a date.

    Args:
        text: As in PDF (`D:20190501...`) or in ISO 8601 (`2019-05-01...`); None for no date.
    """
    if match := _DATE.match(str(text or "")):
        with suppress(ValueError):
            return {"date": date(*map(int, match.groups())).isoformat()}
    return {}


def first_line(error: BaseException) -> str:
    """Return the message of an error in one short line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextmanager
def read_as(kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into an `InputError`."""
    try:
        yield
    except (LongEmbedError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"cannot be read as {kind}: {first_line(error)}") from error
