"""Terms of texts in any script, and the language that they are in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longembed_index.lexical.analyzer import LANGUAGES, Analyzer, guess_language


def terms(text: str, language: str = "english") -> list[str]:
    return Analyzer(language).tokens(text).terms


def test_words_are_folded_stemmed_and_without_stop_words() -> None:
    assert terms("The Directors' BUDGETS, and our budget") == [
        "director",
        "budget",
        "our",
        "budget",
    ]
    assert terms("Die Häuser und das Haus", "german") == ["haus", "haus"]
    assert terms("The Directors", "none") == ["the", "directors"]
    assert terms("e\u0301cole école ÉCOLE", "french") == ["écol"] * 3
    assert terms("ﬁnance straße") == ["financ", "strass"]


def test_code_and_numbers() -> None:
    assert terms("get_user(id=42) x86-64", "none") == ["get", "user", "id", "42", "x86", "64"]


def test_scripts_without_spaces_give_pairs() -> None:
    assert terms("日本語") == ["日本", "本語"]
    assert terms("日 本") == ["日", "本"]
    assert terms("ABC日本xyz") == ["abc", "日本", "xyz"]
    # A vowel sign belongs to its consonant.
    assert terms("हिन्दी") == ["हिन्दी"]
    assert len(terms("สวัสดี")) == 3


def test_starts_are_places_in_the_text_before_folding() -> None:
    text = "ﬁrst 日本語 Second. e\u0301t\u00e9"
    tokens = Analyzer("none").tokens(text)
    assert [text[start] for start in tokens.starts] == ["ﬁ", "日", "本", "S", "e"]


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_analysed(text) -> None:
    tokens = Analyzer("english").tokens(text)
    assert len(tokens.terms) == len(tokens.starts)
    assert all(tokens.terms)
    assert list(tokens.starts) == sorted(tokens.starts)
    assert all(0 <= start < len(text) for start in tokens.starts)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The dog is in the house, and it is not in the street.", "english"),
        ("Der Hund ist in dem Haus und nicht auf der Straße.", "german"),
        ("Le chien est dans la maison et il ne dort pas.", "french"),
        ("El perro está en la casa y no en la calle.", "spanish"),
        ("for i in range(10): print(x[i], y[i], sep=';')", "none"),
        ("日本語のテスト", "none"),
        ("", "none"),
    ],
)
def test_the_language_is_guessed(text, language) -> None:
    assert guess_language([text]) == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_tools_for_every_language(language) -> None:
    assert terms("x42", language) == ["x42"]
