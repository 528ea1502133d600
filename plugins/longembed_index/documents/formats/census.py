"""The words of an office file's XML, counted to find what its reader has lost."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from longembed_index.documents.formats.archives import Package, is_xml
from longembed_index.documents.formats.office_xml import (
    MATH,
    choose_alternates,
    drop_slide_numbers,
    local,
    math_text,
    replace,
    unescaped,
)
from longembed_index.documents.parsed import PAGE_END, LeftOut, Parsed

_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile(r"[*\\`~\u00ad]")
"""What Markdown puts inside words, and soft hyphens."""

_WITH_NUMBERS = ("v", "pt")
_TEXTS = ("t", "text", "font", *_WITH_NUMBERS)
"""The elements with text."""
_INSIDE_WORDS = frozenset(
    (
        *("r", "t", "proofErr", "bookmarkStart", "bookmarkEnd", "softHyphen", "ins", "moveTo"),
        *("hyperlink", "smartTag", "fldSimple", "sdt", "sdtContent", "lastRenderedPageBreak"),
        *("commentRangeStart", "commentRangeEnd"),
    )
)
"""The elements that may stand inside a word."""
_NOT_SHOWN = ("{*}moveFrom", "{*}del", "{*}rPr", "{*}pPr", "{*}rPh", "{*}sdtPr")
"""The elements whose text is deleted, or is none."""

_NOT_CONTENT = re.compile(
    r"(^|/)(docProps|customXml|glossary|theme|slideLayouts|slideMasters|notesMasters"
    r"|handoutMasters|pivotCache|externalLinks|revisions|worksheets|_rels)/"
    r"|/diagrams/(?!data)|/(styles|settings|fontTable|numbering|webSettings|sharedStrings)\d*\.xml$",
    re.IGNORECASE,
)
"""Parts with templates, names and copies. The cells of workbooks are counted by their reader."""

THREADED = "[Threaded comment]"
"""How a comment begins that only sends the reader to another part."""


def lost_words(package: Package, text: str) -> list[LeftOut]:
    """Return the parts of an office file with words that are not in its text."""
    read = Counter(_words_in(text))
    lost = []
    for name in package.names:
        if is_xml(name) and not _NOT_CONTENT.search(name):
            missing = Counter(_words(package, name)) - read
            if missing:
                lost.append(LeftOut(name, "words that were not read", missing.total()))
    return lost


def parsed_package(package: Package, text: str) -> Parsed:
    """Return what an office file has become: its text and title, and what is not in the text."""
    package.name_embedded_files()
    left_out = (*package.left_out, *lost_words(package, text))
    pages = {"pages": text.count(PAGE_END)} if PAGE_END in text else {}
    return Parsed(text, package.title(), left_out, {**pages, **package.date()})


def _words_in(text: str) -> list[str]:
    return _WORD.findall(_MARKS.sub("", text))


def _words(package: Package, name: str) -> list[str]:
    """Return the words of a part that a person sees."""
    root = package.tree(name)
    choose_alternates(root)
    for mark in list(root.iterfind(".//{*}trPr/{*}del")):
        replace(mark.getparent().getparent(), ())
    for element in list(root.iter(*_NOT_SHOWN)):
        replace(element, ())
    drop_slide_numbers(root)
    _drop_repeated_categories(root)
    pieces: list[str] = []
    for element in root.iter("{*}*"):
        kind, text = local(element), element.text or ""
        if element.tag == f"{MATH}oMath":
            pieces.append(math_text(element))
        elif kind in _TEXTS and _is_shown(element, kind, text):
            pieces.append(unescaped(text))
        if kind not in _INSIDE_WORDS:
            pieces.append(" ")
    return _words_in("".join(pieces))


def _drop_repeated_categories(chart: Any) -> None:
    """Keep the categories of a chart once: each of its series repeats them."""
    seen = set()
    for categories in list(chart.iter("{*}cat")):
        text = " ".join(point.text or "" for point in categories.iter("{*}v"))
        if text in seen:
            replace(categories, ())
        seen.add(text)


def _is_shown(element: Any, kind: str, text: str) -> bool:
    if str(element.tag).startswith(MATH) or text.startswith(THREADED):
        return False
    return kind not in _WITH_NUMBERS or any(map(str.isalpha, text))
