"""Terms of texts in any script, and the language that they are in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longembed_index.lexical.analyzer import LANGUAGES, Analyzer, _patterns, guess_language


def terms(text: str, language: str = "english") -> list[str]:
    """Return the terms of the row, without the marks of stop words and last characters."""
    tokens = Analyzer(language).tokens(text)
    return tokens.terms[: tokens.row]


def test_words_are_folded_and_stemmed_and_stop_words_are_marked() -> None:
    assert terms("The Directors' BUDGETS, and our budget") == [
        "_the",
        "director",
        "budget",
        "_and",
        "our",
        "budget",
    ]
    assert Analyzer("english").tokens("The budgets of 日本").scoring() == ["budget", "日本"]
    assert terms("Häuser Haus", "german") == ["haus", "haus"]
    assert terms("The Directors", "none") == ["the", "directors"]
    assert terms("ﬁnance straße") == ["financ", "strass"]


def test_code_and_numbers() -> None:
    assert terms("get_user(id=42) x86-64", "none") == ["get", "user", "id", "42", "x86", "64"]


def test_scripts_without_spaces_give_pairs() -> None:
    assert terms("日本語") == ["日本", "本語", "~語"]
    assert terms("日 本") == ["日", "本"]
    assert terms("ABC日本xyz") == ["abc", "日本", "~本", "xyz"]
    # A vowel sign belongs to its consonant.
    assert terms("हिन्दी") == ["हिन्दी"]
    assert len(terms("สวัสดี")) == 4


SAME = [
    ("soft hyphen", "german", "Ge\u00adsamt\u00adkonzept", "Gesamtkonzept"),
    ("zero-width space", "none", "งบ\u200bประมาณ", "งบประมาณ"),
    ("word joiner", "none", "data\u2060base\ufeff", "database"),
    ("hyphen at the end of a line", "english", "infra-\n  structure", "infrastructure"),
    ("and in a quotation", "english", "> infra-\r\n> structure", "infrastructure"),
    ("soft hyphen at the end of a line", "german", "Hafen\u00ad\nmauer", "Hafenmauer"),
    ("line end in Chinese", "none", "批准了港\n口预算", "批准了港口预算"),
    ("decomposed accents", "french", "e\u0301cole", "École"),
    ("no accents", "spanish", "informacion", "INFORMACIÓN"),
    ("letters with strokes", "none", "Łódź Søren", "Lodz Soren"),
    ("Turkish capitals", "turkish", "İSTANBUL DIŞ", "istanbul dış"),
    ("Turkish capitals typed elsewhere", "turkish", "ISTANBUL", "İstanbul"),
    ("Greek capitals", "none", "ΟΔΟΣ ΑΘΗΝΑΣ", "οδός Αθηνάς"),
    ("Russian stress", "russian", "за\u0301мок ёлка", "замок елка"),
    ("Hebrew points", "none", "הַמּוֹעָצָה", "המועצה"),
    ("Arabic marks and tatweel", "none", "الكِتَـــاب أحمد", "الكتاب احمد"),
    ("Persian letters", "none", "کتاب", "كتاب"),
    ("Persian joiner", "none", "می\u200cخواهم", "میخواهم"),
    ("full width", "none", "ＡＢＣ１２", "abc12"),
    ("half-width kana", "none", "ﾄｳｷｮｳﾄﾞ", "トウキョウド"),
    ("digits", "none", "٢٠١٩ १२", "2019 12"),
    ("decomposed Hangul", "none", "\u1109\u1165\u110b\u116e\u11af", "서울"),
    ("Markdown", "english", "**annual** _budget_ 1\\. snake\\_case", "annual budget 1. snake_case"),
    ("a link", "english", '[quay](http://x.org/a_(b) "wall") was', "quay was"),
]  # fmt: skip


def test_what_a_reader_sees_as_the_same_has_the_same_terms() -> None:
    for name, language, text, same in SAME:
        assert terms(text, language) == terms(same, language) != [], name


def test_words_that_differ_stay_apart() -> None:
    # A German hyphen that stands for a word left out, a new line, a zero between letters.
    assert terms("Haupt-\nund Nebenstraßen", "german")[:2] == ["haupt", "_und"]
    assert terms("red-\nBrick 2019-\nbudget") == ["red", "brick", "2019", "budget"]
    assert terms("서울\n책", "none") == ["서울", "~울", "책"]
    assert terms("हिन्दी हिनदी", "none") == ["हिन्दी", "हिनदी"]


def test_what_is_beside_the_row_is_found_too() -> None:
    tokens = Analyzer("english").tokens("well-\nknown [quay](http://x.org) wall")
    assert tokens.terms[: tokens.row] == ["wellknown", "quay", "wall"]
    assert tokens.terms[tokens.row :] == ["_", "well", "known", "_", "http", "x", "org"]
    assert tokens.scoring()[3:] == ["well", "known", "http", "x", "org"]


def test_a_phrase_may_break_at_its_hyphens_and_end_before_a_particle() -> None:
    analyzer = Analyzer("english")
    assert analyzer.phrases("the well-known plan") == [
        ["_the", "well", "known", "plan"],
        ["_the", "wellknown", "plan"],
    ]
    assert analyzer.phrases("서울 예산") == [["서울", "~울", "예산"]]
    assert analyzer.phrases("***") == []


def test_starts_are_places_in_the_text_before_folding() -> None:
    text = "ﬁrst 日本語 Second. e\u0301t\u00e9"
    tokens = Analyzer("none").tokens(text)
    assert [text[start] for start in tokens.starts] == ["ﬁ", "日", "本", "語", "S", "e"]


@given(st.text())
def test_any_text_can_be_analysed(text) -> None:
    tokens = Analyzer("english").tokens(text)
    assert len(tokens.terms) == len(tokens.starts)
    assert all(tokens.terms)
    row = list(tokens.starts[: tokens.row])
    assert row == sorted(row)
    assert all(0 <= start < len(text) for start in tokens.starts)


@given(st.text("ab Aé1½-\u00ad\u2010\n\r>_'und", max_size=20))
def test_common_texts_are_cut_as_all_others(text) -> None:
    patterns = _patterns()
    assert patterns.common_word.findall(text) == patterns.word.findall(text)


def test_time_is_in_proportion_to_the_text() -> None:
    """Square time would take minutes for these."""
    for part in ["](a(b)", "a-\n", "a\u200c", "](<", "e\u0301\u0301"]:
        analyzer = Analyzer("english")
        assert analyzer.tokens(part * 100_000).starts.max(initial=0) < len(part) * 100_000


def test_the_language_is_guessed() -> None:
    languages = {
        "The dog is in the house, and it is not in the street.": "english",
        "Der Hund ist in dem Haus und nicht auf der Straße.": "german",
        "Le chien est dans la maison et il ne dort pas.": "french",
        "El perro está en la casa y no en la calle.": "spanish",
        "for i in range(10): print(x[i], y[i], sep=';')": "none",
        "日本語のテスト": "none",
        "": "none",
    }
    assert {text: guess_language([text]) for text in languages} == languages


def test_there_are_tools_for_every_language() -> None:
    assert {language for language in LANGUAGES if terms("x42", language) != ["x42"]} == set()
