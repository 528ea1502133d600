from __future__ import annotations

import unicodedata

from longembed_index.patterns import is_pattern, matches_pattern, plain_prefix

NAME = "/reports/[2019] Übersicht.txt"
DECOMPOSED = unicodedata.normalize("NFD", NAME)


def test_names_and_patterns_meet_in_either_form() -> None:
    for pattern in (NAME, "*/[2019] *", "*[?019]*", "*Übersicht*", "*?bersicht.txt", "*"):
        for form in ("NFC", "NFD"):
            for name in (NAME, DECOMPOSED):
                assert matches_pattern(name, unicodedata.normalize(form, pattern)), pattern


def test_other_names_do_not_match() -> None:
    for pattern in ("", "[2019]*", "*/[2019]Übersicht*", "*/2 *", "*[0-9]*", "*UBERSICHT*"):
        assert not matches_pattern(NAME, pattern), pattern


def test_wildcards_stand_for_line_ends_and_slashes() -> None:
    assert matches_pattern("a/b\nc", "a*c")
    assert matches_pattern("a\nb", "a?b")


def test_only_wildcards_make_a_pattern() -> None:
    assert is_pattern("a*")
    assert is_pattern("a?")
    assert not is_pattern("[a]")
    assert not is_pattern(7)


def test_the_plain_prefix_is_that_of_all_forms() -> None:
    for name, prefix in (
        ("plain [1].txt", "plain [1].txt"),
        ("cafe\u0301.txt", "caf"),
        ("caf\u00e9.txt", "caf"),
        ("273 \u212a", "273 "),  # The Kelvin sign, whose normal form is K.
        ("273 K", "273 "),
    ):
        assert plain_prefix(name) == prefix
        for form in ("NFC", "NFD"):
            assert unicodedata.normalize(form, name).startswith(prefix)
