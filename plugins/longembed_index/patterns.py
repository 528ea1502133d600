"""Patterns of names, and names in composed and decomposed Unicode.

Two names are the same if they are equal in normal form C: file systems and programs write `é` as
one character or as two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import Any

# Without `;`, `K` and the grave accent: each is the normal form of another character, too.
_PLAIN = re.compile(r"[ -:<-JL-_a-~]*")


def is_pattern(condition: Any) -> bool:
    """Return whether a condition is a string in which `*` and `?` stand for other characters."""
    return isinstance(condition, str) and ("*" in condition or "?" in condition)


def matches_pattern(name: str, pattern: str) -> bool:
    """Return whether all of a name is like a pattern.

    Args:
        name: Any text.
        pattern: `*` stands for any characters, `/` and line ends among them, and `?` for any one
            character. All others mean themselves, `[` and `]` too.
    """
    return compiled_pattern(pattern)(composed(name)) is not None


@lru_cache(maxsize=256)
def compiled_pattern(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Return a function that compares a name in normal form C with a pattern."""
    return re.compile(translate(composed(pattern).replace("[", "[[]"))).match


def composed(text: str) -> str:
    """Return a text in Unicode normal form C."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def plain_prefix(name: str) -> str:
    """Return characters with which a name begins in every form, to search for it in an index.

    Args:
        name: A text without wildcards. If all of it is returned, it has no other form.
    """
    match = _PLAIN.match(composed(name))
    return match[0] if match else ""
