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
_MIXED = re.compile(
    rf"{_LETTER}{{2,}}(?=\d)|(?<=\d){_LETTER}{{2,}}|(?<={_LETTER})\d{{2,}}|\d{{2,}}(?={_LETTER})"
)
"""Parts of words of letters and digits; those of one character mean little alone."""


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
    for match in _MIXED.finditer(query):
        yield match.group()
