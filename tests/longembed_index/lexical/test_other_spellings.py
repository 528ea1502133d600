"""Numbers and compound words have other spellings."""

from __future__ import annotations

import time

from word_stores import store_of, updated

from longembed_index.lexical.other_spellings import other_spellings
from longembed_index.store.conformance import INFO

SPELLINGS = {
    "7,503 or 12 500 or 1.234.567 or 3.14": "7503 12500 1234567",
    "2559 in 2018": "559",
    "1234567": "567 234",
    "COVID-19, an e-mail, pages 3-4": "COVID19 email",
    "the U.S. and the U.S.A.": "US USA",
    "FY2018 and IFRS16 of 3M": "FY 2018 IFRS 16",
    "a plain question": "",
}


def test_other_spellings_of_words() -> None:
    for query, expected in SPELLINGS.items():
        assert other_spellings(query) == expected


def test_long_queries_take_no_square_time() -> None:
    start = time.process_time()
    for part in ("a-", "1-", "1,", "1,000", "123,", "a.", "a1", "1", "é"):
        other_spellings((part * 20_000)[:20_000])
    assert time.process_time() - start < 5


TEXTS = {
    "grouped": "They counted 1,559 birds.",
    "plain": "They counted 7503 birds.",
    "year": "It was the fiscal year 2018.",
    "joined": "Send an email.",
    "other": "They counted birds in the fiscal year, and sent a letter.",
}


def test_words_are_found_in_other_spellings(tmp_path) -> None:
    words = updated(tmp_path, store_of(TEXTS, INFO))
    for query, expected in (
        ("1559 birds", "grouped"),
        ("7,503 birds", "plain"),
        ("FY2018", "year"),
        ("an e-mail", "joined"),
    ):
        scores = words.query(query).scores(list(TEXTS))
        assert max(scores, key=lambda key: scores[key].document) == expected
    query = words.query("FY2018")
    assert query.highest == words.query("FYxxxx").highest, "a text may reach it without them"
