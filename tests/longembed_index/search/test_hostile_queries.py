"""Queries that are meant to take long: reading one takes time in proportion to its length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from longembed_index.lexical.analyzer import Analyzer
from longembed_index.patterns import compiled_pattern
from longembed_index.search.question import MAX_CHARACTERS, MAX_PHRASES, parse_question
from longembed_st.base.texts import has_text
from longembed_st.errors import ConfigError

KINDS = {
    "opening quotes": "“„«「",
    "closed quotes": '"a" ',
    "brackets": "[](<({",
    "links": "](a](<b](c)",
    "backslashes": "\\\\\"\\'",
    "marks": "e\u0301\u0302\u0303",
    "one word": "a",
    "hyphens at line ends": "a-\n",
    "invisible characters": "a\u200b\u200d\u00ad",
    "surrogates": "\ud800a",
    "characters without spaces": "人木",
    "lone characters": "人 ",
    "digits of other scripts": "\u0661\uff11",
    "spaces": " \t\n",
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """The processor's time for a text; the least of some, as others use the machine."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        read(text)
        times.append(time.process_time() - begin)
    return min(times)


def test_reading_takes_no_square_time(monkeypatch) -> None:
    """Sixteen times the text takes some sixteen times as long, where square time takes 256."""
    for kind in KINDS:
        monkeypatch.setattr("longembed_index.search.question.MAX_CHARACTERS", 10**9)
        monkeypatch.setattr("longembed_index.search.question.MAX_PHRASES", 10**9)
        analyzer = Analyzer("english")
        for read in (parse_question, analyzer.tokens, analyzer.phrases, has_text):
            short = (KINDS[kind] * 5_000)[:5_000]
            analyzer.tokens(short)
            assert seconds(read, short * 16) < 64 * max(seconds(read, short), 1e-3), read


def test_a_query_has_a_longest_length_and_a_number_of_phrases() -> None:
    parse_question("a" * MAX_CHARACTERS)
    with pytest.raises(ConfigError, match=r"has 20,001 characters; at most 20,000"):
        parse_question("a" * (MAX_CHARACTERS + 1))
    phrases = [f'"b{number} c"' for number in range(MAX_PHRASES + 1)]
    parse_question(" ".join([*phrases[1:], *phrases[1:]]))
    with pytest.raises(ConfigError, match="33 phrases in quotes; at most 32"):
        parse_question(" ".join(phrases))


def test_patterns_of_filters_take_no_square_time() -> None:
    """What a star stands for is tried once for each place, whatever stars come behind it."""
    for pattern in ["*a" * 499 + "b", "?*" * 500, "*" + "?" * 400 + "b"]:
        compare = compiled_pattern(pattern)
        short = "a" * 5_000
        assert seconds(compare, short * 16) < 64 * max(seconds(compare, short), 1e-3)
