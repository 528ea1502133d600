"""Other spellings of numbers and compound words, which a text may have instead of the query's."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LETTER = r"[^\W\d_]"
_GROUPED = re.compile(r"\b\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+\b")
_NUMBER = re.compile(r"\b(?!(?:19|20)\d\d\b)\d{4,12}\b")
"""Years are not written in groups."""
_WITH_HYPHENS = re.compile(r"\b[^\W_]+(?:[-‐‑][^\W_]+)+")
_WITH_DOTS = re.compile(rf"\b{_LETTER}(?:\.{_LETTER})+\b(?!\.?\w)")
_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(rf"\d+|{_LETTER}+")


def other_spellings(query: str) -> str:
    """Return other spellings of words of a query, to be found beside them.

    "1,000" is "1000", of which "000" is found in "1,000"; "FY2018" is "FY 2018"; "e-mail" is
    "email"; "U.S." is "US".
    """
    return " ".join(_other_spellings(query))


def _other_spellings(query: str) -> Iterator[str]:
    for pattern in (_GROUPED, _WITH_HYPHENS, _WITH_DOTS):
        for match in pattern.finditer(query):
            joined = "".join(re.findall(r"\w", match.group()))
            # "3-4" is not 34.
            if pattern is _GROUPED or not joined.isdigit():
                yield joined
    for match in _NUMBER.finditer(query):
        number = match.group()
        yield from (number[end - 3 : end] for end in range(len(number), 2, -3))
    for word in _WORD.findall(query):
        parts = _PART.findall(word)
        if len(parts) > 1:
            # A part of one character means little alone.
            yield from (part for part in parts if len(part) > 1)
