"""Sentence units: where they begin and end, whatever a text is made of."""

from __future__ import annotations

import re
import sys
import time

import numpy as np
import pytest
from fuzzing import FEW, MANY, check
from hypothesis import strategies as st

from longembed_index.documents.sentences import (
    LEAST_WORDS,
    MOST_WORDS,
    sentence_units,
    word_counts,
    words_in,
)

SHORT = "He came. "
SENTENCE = "The council met on the second Monday of May in the old hall beside the river. "


def parts_of(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_units(text)]


def assert_valid(text: str) -> None:
    """Assert that each visible character is in one unit, and that units cross no border."""
    units = sentence_units(text)
    covered = [place for start, end in units.tolist() for place in range(start, end)]
    assert covered == sorted(set(covered))
    visible = {place for place, character in enumerate(text) if not character.isspace()}
    assert visible <= set(covered)
    for part in parts_of(text):
        assert part == part.strip() != ""
        assert "\f" not in part
        assert not any(not line.strip() for line in part.splitlines())


def test_sentences_are_units_and_short_ones_are_joined() -> None:
    assert parts_of(SENTENCE * 2) == [SENTENCE.strip()] * 2
    joined = parts_of(SHORT * 20)
    assert all(LEAST_WORDS <= words_in(part) <= MOST_WORDS for part in joined[:-1])
    assert all(part.endswith(".") for part in joined)
    # A short one at the end goes to the unit before it.
    assert parts_of(SENTENCE + SHORT) == [(SENTENCE + SHORT).strip()]


def test_abbreviations_end_no_sentence_in_the_language_of_the_text() -> None:
    text = "Dr. Smith and Mr. Jones of the U.S. office met Prof. Miller at 3.30 p.m. in the hall. "
    assert parts_of(text + SENTENCE) == [text.strip(), SENTENCE.strip()]
    german = (
        "Die Sitzung fand z. B. am 3. Mai unter der Leitung von Dr. Meier und Prof. Schulz in dem "
        "alten Saal statt. "
    )
    (first, *_) = parts_of(german * 3)
    assert first == german.strip()


def test_long_sentences_are_cut_at_the_end_of_a_clause() -> None:
    clause = "and the committee asked for another report on the bridge, "
    parts = parts_of("The mayor spoke " + clause * 30)
    assert all(words_in(part) <= 1.3 * MOST_WORDS for part in parts)
    assert all(part.endswith(",") for part in parts)
    assert all(words_in(part) > 20 for part in parts)
    assert all(" " not in part[-1:] for part in parts_of("word " * 1000))


def test_no_unit_goes_beyond_a_border() -> None:
    for border in ("\n\n", "\n \t\n", "\f", "\n\f", "\r\n\r\n"):
        assert parts_of(f"{SHORT}{border}{SHORT}") == [SHORT.strip(), SHORT.strip()]
    headed = parts_of(f"{SHORT}\n# A heading\n{SHORT}")
    assert headed == [SHORT.strip(), "# A heading", SHORT.strip()]


def test_lines_that_are_wrapped_belong_together() -> None:
    wrapped = (
        "The council met on the second Monday of May in the hall\n"
        "beside the river to hear what the people of the town had\n"
        "Mayor Brown to say about the bridge and all its repair.\n"
        "A second sentence has as many words as a unit has, and\n"
        "it goes on in the line that follows.\n"
    )
    first, second = parts_of(wrapped)
    assert (first.startswith("The council"), first.endswith("its repair.")) == (True, True)
    assert second.startswith("A second sentence")


def test_turns_and_items_begin_anew() -> None:
    turn = "Marketing: I think that the new remote control should have fewer buttons and a wheel\n"
    other = "Designer: Then we can leave the display out and save the battery for other things\n"
    assert parts_of(turn + other + turn) == [turn.strip(), other.strip(), turn.strip()]
    items = [
        f"- the {name} item of the long list of items that is kept by the secretary of the town"
        for name in ("first", "second", "third")
    ]
    assert parts_of("\n".join(items)) == items


def test_tables_are_cut_between_rows_and_code_between_lines() -> None:
    rows = [
        f"| {year} | {year * 3} | the revenue of the department for the year |"
        for year in range(2000, 2020)
    ]
    code = [f"    result_{number} = compute(value, {number})" for number in range(40)]
    for lines in (rows, code, ["```", *code, "```"], [f"{n};{n * n};town {n}" for n in range(60)]):
        text = "\n".join(lines)
        parts = parts_of(text)
        assert len(parts) > 1
        stripped = [line.strip() for line in lines]
        assert [line.strip() for part in parts for line in part.splitlines()] == stripped


def test_scripts_without_spaces() -> None:
    chinese = "议会于五月的第二个星期一在河边的旧大厅开会，讨论桥梁的维修问题以及明年的预算安排。"
    assert parts_of(chinese * 3) == [chinese] * 3
    thai = "สภาเทศบาลประชุมกันในวันจันทร์ที่สองของเดือนพฤษภาคม "
    assert all(words_in(part) <= 1.3 * MOST_WORDS for part in parts_of(thai * 20))
    assert len(parts_of("的" * 5000)) > 20
    # A vowel sign stays with its letter.
    assert not any(part.startswith("\u0e34") for part in parts_of("กิ" * 3000))


HOSTILE = {
    "no space": "a" * 1_000_000,
    "no stop": "word " * 200_000,
    "quotes": '"' * 1_000_000,
    "blank lines": "\n" * 200_000,
    "bars": "| " * 500_000,
    "spaces": "a" + " " * 1_000_000 + "b",
    "abbreviations": "Mr. " * 250_000,
    "ideographs": "他说。" * 60_000,
}


def test_hostile_texts_take_linear_time() -> None:
    """Four times the text takes less than sixteen times the time, which it would if quadratic."""
    for kind in HOSTILE:
        text = HOSTILE[kind]

        def seconds(part: str) -> float:
            began = time.process_time()
            units = sentence_units(part)
            if len(units):
                assert (units[0, 0], units[-1, 1]) == (0, len(part.rstrip()))
            return time.process_time() - began

        quarter = min(seconds(text[: len(text) // 4]) for _ in range(2))
        whole = min(seconds(text) for _ in range(2))
        assert whole < 15 * max(quarter, 0.2)


@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_each_visible_character_is_in_one_unit(examples) -> None:
    pieces = st.sampled_from(
        [SHORT, SENTENCE, "\n", "\n\n", "\f", "# a\n", "```\n", "| a | b |\n", "word " * 70, "\t",
         "他说。你好吗？", "ภาษา ไทย", "- item\n", "a" * 900, "e\u0301", "\u2028", "\x85", "İ"]
    )  # fmt: skip
    texts = st.lists(pieces | st.text(max_size=30), max_size=12).map("".join)
    check(assert_valid, examples, text=texts)


def test_a_text_without_a_visible_character_has_no_units() -> None:
    for text in ("", " ", "\n\n\f\t"):
        assert sentence_units(text).shape == (0, 2)


def test_halves_of_characters_are_parts_of_sentences() -> None:
    text = f"The old hall \ud800 of the {SENTENCE}"
    assert parts_of(text + SENTENCE) == [text.strip(), SENTENCE.strip()]


def test_the_language_may_be_given() -> None:
    text = re.sub(r"\s+", " ", SENTENCE * 4)
    assert sentence_units(text, "german").tolist() == sentence_units(text).tolist()


TEXTS = [
    "",
    " \t\n",
    "plain words, and\x1csome\xa0spaces\u2003of\u3000other kinds",
    f"a link of {'x' * 70}/{'y' * 5} between words, {'z' * 19} and {'z' * 20}",
    "two characters 会议在五月结束 are a word ประชุมใน and 𠀀𠀁 too, é as well",
    "a lone \ud800 half",
]


def test_words_of_many_ranges_are_counted_as_those_of_one() -> None:
    for text in TEXTS:
        places = range(len(text) + 1)
        ranges = np.array([(first, last) for first in places for last in places[first:]])
        expected = [words_in(text[first:last]) for first, last in ranges.tolist()]
        assert word_counts(text, ranges).tolist() == expected
        assert word_counts(text, ranges[:0]).tolist() == []


def test_words_end_at_every_space_that_python_knows() -> None:
    text = "a" + "a".join(map(chr, range(0x3100)))
    ranges = np.array([(place, place + 3) for place in range(0, len(text) - 2, 2)])
    expected = [words_in(text[first:last]) for first, last in ranges.tolist()]
    assert word_counts(text, ranges).tolist() == expected
    assert not any(chr(code).isspace() for code in range(0x3100, sys.maxunicode + 1))
