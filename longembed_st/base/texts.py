"""Texts as a person sees them: what is blank, and what a terminal must not act on."""

from __future__ import annotations

import os
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, but emoji and some scripts are written with them."""

_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
"""Fillers, variation selectors and the blank braille cell: classed as letters, marks and symbols,
and invisible."""


def has_text(text: str) -> bool:
    """Whether a text has a visible character.

    Returns:
        False if it has nothing but separators, control and format characters, and fillers.
    """
    return any(
        unicodedata.category(character)[0] not in "ZC" and character not in _BLANK
        for character in text
    )


def escaped(text: str | os.PathLike[str]) -> str:
    r"""Escape the invisible characters of foreign text, for one line of a terminal or message.

    A terminal acts on control characters, and some others reverse the order of the text around
    them. Line ends are escaped, too: a file name cannot forge a line, clear the screen or fill the
    clipboard.

    Returns:
        The text with escapes such as `\x1b`, `\n` and `\u202e`.
    """
    text = os.fspath(text)
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    # Spaces of other widths than the ordinary one are harmless, and common in Japanese.
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def is_url(text: str) -> bool:
    """Whether a text is a URL, not a path."""
    return "://" in text
