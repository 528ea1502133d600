"""What is blank, and how foreign text is shown."""

from __future__ import annotations

import sys
import unicodedata

from longembed_st.base.texts import escaped, has_text


def test_blank_is_what_nobody_can_see() -> None:
    blank = ["", " \n\t\u3000", "\x00\x1b", "\u200b\ufeff\u202e", "\u3164\u2800\ufe0f\U000e0041"]
    assert [text for text in blank if has_text(text)] == []
    seen = ["\u200ba", "。", "👩\u200d💻", "\u0301"]
    assert [text for text in seen if not has_text(text)] == []


def test_foreign_text_is_one_line_without_control_characters() -> None:
    for kept in ("plain, Ünïcödé, 日本\u3000語, a\xa0b", "👩\u200d💻 \u0646\u200c\u0647"):
        assert escaped(kept) == kept
    assert escaped("\x1b]52;c;QQ==\x07") == r"\x1b]52;c;QQ==\x07"
    assert escaped("a\nError: b\r") == r"a\nError: b\r"
    assert escaped("\x9b2J\u2028\u202egpj.exe\udcff") == r"\x9b2J\u2028\u202egpj.exe\udcff"


def test_no_control_or_direction_character_comes_through() -> None:
    every = "".join(map(chr, [*range(0x10000), *range(0xE0000, 0xE0200), sys.maxunicode]))
    kept = set(escaped(every))
    for character in kept - {"\u200c", "\u200d"}:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    escaped(every).encode()
