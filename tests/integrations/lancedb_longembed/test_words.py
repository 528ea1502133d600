"""LanceDB's scores are BM25, of documents and of their passages, whatever the language."""

from __future__ import annotations

import numpy as np
import pytest
from reference.bm25 import bm25, passages
from zipf import text

from lancedb_longembed.store import LanceStore
from lancedb_longembed.tables import connect
from longembed_index.lexical import WordFile
from longembed_index.testing import MADE_BY, record
from longembed_index.word_index import RanksWords
from longembed_index.word_scores import STEP, WINDOW

QUERY = "w0 w3 w50 w299 unknown"


@pytest.fixture
def store(tmp_path) -> LanceStore:
    database = connect(str(tmp_path / "store"))
    LanceStore.create(database, "documents", MADE_BY)
    return LanceStore(database, "documents")


def write(store: LanceStore, **texts: str) -> None:
    store.write([record(key, text=one) for key, one in texts.items()])


LENGTHS = [1, 5, 124, 126, 250, 251, 374, 376, 500, 2_000, 60, 61, 62, 63]


@pytest.mark.parametrize("is_tidy", [True, False])
def test_scores_are_those_of_the_formula(store, is_tidy) -> None:
    texts = {f"id{n}": text(n, length) for n, length in enumerate(LENGTHS)}
    store.speak("none")
    write(store, **texts)
    if is_tidy:
        store.tidy()
    cut = {key: one.split() for key, one in texts.items()}
    whole = bm25(QUERY.split(), list(cut.values()), k1=1.2)
    every = [(key, part) for key, one in cut.items() for part in passages(one, WINDOW, STEP)]
    parts = bm25(QUERY.split(), [part for _, part in every], k1=1.2)
    best = [
        max(score for (other, _), score in zip(every, parts, strict=True) if other == key)
        for key in cut
    ]
    found = store.word_index.ask(QUERY).scores(list(texts))
    assert found.keys() == texts.keys()
    # It multiplies all by k1 + 1, and rounds lengths.
    for expected, ours in (
        (np.array(whole), np.array([found[key].document for key in cut])),
        (np.array(best), np.array([found[key].passage for key in cut])),
    ):
        assert ours.max() > 0
        np.testing.assert_allclose(ours / 2.2, expected, rtol=0.06, atol=0.02)


def test_scores_of_some_are_those_of_all(store) -> None:
    write(store, **{f"id{n}": text(n, 400) for n in range(40)})
    store.tidy()
    asked = store.word_index.ask("w5 w9")
    everything = asked.scores([f"id{n}" for n in range(40)])
    some = asked.scores(["id3", "id30", "absent"])
    assert some["id3"] == everything["id3"]
    assert some["id30"] == everything["id30"]
    assert some["absent"].document == some["absent"].passage == 0


def test_what_was_written_last_is_found_before_it_is_indexed(store) -> None:
    store.speak("english")
    write(store, a="the whale swims in the sea", b="a ship sails")
    store.tidy()
    write(store, b="the captain sleeps", c="a white whale, the whale of whales")
    words = store.word_index
    assert words.ask("whale").candidates(5) == ["c", "a"]
    assert words.ask("ship").candidates(5) == []
    store.delete(["c"])
    assert words.ask("whales").candidates(5) == ["a"]


@pytest.mark.parametrize(
    ("language", "written", "asked"),
    [
        ("english", "they were running late", "runs"),
        ("german", "die Häuser der Stadt", "haus"),
        ("none", "日本語の長い文書", "文書"),
        ("none", "x_y=1; DROP TABLE", "drop"),
        # Folded, it has spaces.
        ("none", "before \ufdfa after", "\ufdfa"),
    ],
)
def test_words_are_cut_as_in_every_store(store, language, written, asked) -> None:
    store.speak(language)
    write(store, a=written, b="nothing of it")
    assert store.word_index.ask(asked).candidates(5) == ["a"]


def test_the_language_is_guessed_once(store) -> None:
    assert store.word_index.language is None
    write(store, a="der Hund und die Katze sind in dem Haus und nicht auf der Wiese")
    assert store.word_index.language == "german"
    write(store, b="the dog and the cat are in the house and not on the meadow")
    assert store.word_index.language == "german"


def test_a_phrase_stands_word_by_word(store) -> None:
    store.speak("english")
    write(store, a="The budget was approved by the board.", b="approved, the budget of the board")
    words = store.word_index
    assert words.with_phrase("budget was approved") == {"a"}
    assert words.with_phrase("Approved the budget") == {"b"}
    assert words.with_phrase("another budget") == set()
    assert words.with_phrase("the") is None


@pytest.mark.parametrize("query", ["", "the of and", "🙂", '"', "a AND (b OR", "x" * 10_000])
def test_nothing_in_a_query_is_an_operator(store, query) -> None:
    store.speak("english")
    write(store, a="the first document")
    asked = store.word_index.ask(query)
    assert asked.candidates(3) == []
    assert asked.scores(["a"])["a"].document == 0
    assert asked.text_scores("the first document", [(0, 9)]).tolist() == [0]


def test_an_empty_store_has_no_words(store) -> None:
    words = store.word_index
    assert isinstance(store, RanksWords)
    assert (len(words), words.language, words.with_phrase("x")) == (0, None, set())
    assert words.ask("x").candidates(3) == []
    assert words.windows("a", 0) == [(0, 0)]


def test_windows_and_the_best_part_are_those_of_a_file_of_words(store, tmp_path) -> None:
    texts = {f"id{n}": text(n, length) for n, length in enumerate(LENGTHS)}
    store.speak("none")
    write(store, **texts)
    file = WordFile(tmp_path, "documents")
    file.add(texts, "none")
    for key, one in texts.items():
        ranges = store.word_index.windows(key, len(one))
        assert ranges == file.windows(key, len(one))
        ours = store.word_index.ask(QUERY).range_scores(key, ranges)
        theirs = file.ask(QUERY).range_scores(key, ranges)
        # Terms are weighed by the documents that have them, not by the passages.
        if len(ranges) > 2:
            assert np.corrcoef(ours, theirs)[0, 1] > 0.95
        assert (ours > 0).tolist() == (theirs > 0).tolist()
