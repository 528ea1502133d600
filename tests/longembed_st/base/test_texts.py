"""What is blank, and how foreign text is shown."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from longembed_st.base.texts import escaped, has_text


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("", False),
        (" \n\t\u3000", False),
        ("\x00\x1b", False),
        ("\u200b\ufeff\u202e\u2066", False),
        ("\u3164\u2800\ufe0f\U000e0041", False),
        ("\u200ba", True),
        ("。", True),
        ("👩\u200d💻", True),
        ("\u0301", True),
    ],
)
def test_blank_is_what_nobody_can_see(text: str, has: bool) -> None:
    assert has_text(text) is has


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain, Ünïcödé, 日本\u3000語, a\xa0b", "plain, Ünïcödé, 日本\u3000語, a\xa0b"),
        ("👩\u200d💻 \u0646\u200c\u0647", "👩\u200d💻 \u0646\u200c\u0647"),
        ("\x1b]52;c;QQ==\x07", r"\x1b]52;c;QQ==\x07"),
        ("a\nError: b\r", r"a\nError: b\r"),
        ("\x9b2J\u2028\u202egpj.exe\udcff", r"\x9b2J\u2028\u202egpj.exe\udcff"),
    ],
)
def test_foreign_text_is_one_line_without_control_characters(text: str, line: str) -> None:
    assert escaped(text) == line


def test_no_control_or_direction_character_comes_through() -> None:
    every = "".join(map(chr, [*range(0x10000), *range(0xE0000, 0xE0200), sys.maxunicode]))
    kept = set(escaped(every))
    for character in kept - {"\u200c", "\u200d"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    escaped(every).encode()
