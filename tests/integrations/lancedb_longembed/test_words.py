"""LanceDB's scores are BM25, of documents and of their passages, whatever the language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from reference.bm25 import bm25, passages
from zipf import text

from lancedb_longembed.folders import LanceFolders
from lancedb_longembed.store import LanceStore
from lancedb_longembed.tables import Rows
from longembed_index.errors import StoreError, StoreWarning
from longembed_index.lexical.index import WordIndex
from longembed_index.lexical.scores import STEP, WINDOW
from longembed_index.store.conformance import INFO, record
from longembed_index.store.kinds import writer_lock
from longembed_index.store.memory import MemoryStore

QUERY = "w0 w3 w50 w299 unknown"


@pytest.fixture
def create(tmp_path) -> Callable[[str | None], LanceStore]:
    """Create an empty store in a language."""

    def create(language: str | None) -> LanceStore:
        info = replace(INFO, language=language)
        return LanceFolders().open(tmp_path, "documents", create=info, write=True)

    return create


def write(store, **texts: str) -> None:
    store.write([record(key, text=text) for key, text in texts.items()])


LENGTHS = [1, 5, 174, 176, 350, 351, 524, 526, 700, 2_000, 60, 61, 62, 63]


def tidy(store: LanceStore) -> None:
    """Complete the indices, as closing does."""
    store.close()


def test_a_reader_finishes_what_a_killed_run_has_left(create, tmp_path) -> None:
    """LanceDB counts words of deleted documents until its indices are completed."""
    texts = {f"id{n}": text(n, length) for n, length in enumerate(LENGTHS)}
    left = dict(list(texts.items())[6:])
    store = create("none")
    write(store, **texts)
    store.close()
    store.write([], delete=texts.keys() - left.keys())
    killed = LanceFolders().open(tmp_path, "documents", create=None, write=False)
    fresh = LanceFolders().open(
        tmp_path, "fresh", create=replace(INFO, language="none"), write=True
    )
    write(fresh, **left)
    scores, expected = (s.lexical().query(QUERY).scores(list(left)) for s in (killed, fresh))
    assert scores == {key: pytest.approx(score) for key, score in expected.items()}


def test_a_reader_that_cannot_finish_it_says_so_and_reads(create, tmp_path, monkeypatch) -> None:
    def refuse(rows: Rows) -> None:
        raise StoreError("cannot write the store: no space left on device")

    write(create("none"), a="w0 w3")
    monkeypatch.setattr(Rows, "tidy", refuse)
    with pytest.warns(StoreWarning, match=r"until a run completes .* no space left"):
        reader = LanceFolders().open(tmp_path, "documents", create=None, write=False)
    assert reader.lexical().query("w3").candidates(5) == ["a"]


def test_a_reader_leaves_a_writer_alone(create, tmp_path) -> None:
    store = create("none")
    with writer_lock(tmp_path):
        write(store, a="w0 w3")
        assert not LanceFolders().open(tmp_path, "documents", create=None, write=False).is_indexed
    assert LanceFolders().open(tmp_path, "documents", create=None, write=False).is_indexed


@pytest.mark.parametrize("is_tidy", [True, False])
def test_scores_are_those_of_the_formula(create, is_tidy) -> None:
    texts = {f"id{n}": text(n, length) for n, length in enumerate(LENGTHS)}
    store = create("none")
    write(store, **texts)
    if is_tidy:
        tidy(store)
    terms = {key: text.split() for key, text in texts.items()}
    whole = bm25(QUERY.split(), list(terms.values()), k1=1.2)
    windows = [(key, part) for key in terms for part in passages(terms[key], WINDOW, STEP)]
    parts = bm25(QUERY.split(), [part for _, part in windows], k1=1.2)
    best = [
        max(score for (other, _), score in zip(windows, parts, strict=True) if other == key)
        for key in terms
    ]
    scores = store.lexical().query(QUERY).scores(list(texts))
    assert scores.keys() == {key for key, score in zip(terms, whole, strict=True) if score > 0}
    # It multiplies all by k1 + 1, and rounds lengths.
    for expected, part in ((whole, "document"), (best, "passage")):
        ours = [getattr(scores[key], part) if key in scores else 0 for key in terms]
        assert max(ours) > 0
        np.testing.assert_allclose(np.array(ours) / 2.2, expected, rtol=0.06, atol=0.02)


def test_scores_of_some_are_those_of_all(create) -> None:
    store = create("none")
    write(store, **{f"id{n}": text(n, 400) for n in range(40)})
    query = store.lexical().query("w5 w9")
    scores = query.scores([f"id{n}" for n in range(40)])
    some = ["id3", "id30"]
    assert query.scores([*some, "absent"]) == {key: scores[key] for key in some}
    assert set(query.candidates(10, some)) == set(some)


def test_what_was_written_last_is_found_before_it_is_indexed(create) -> None:
    store = create("english")
    write(store, a="the whale swims in the sea", b="a ship sails")
    tidy(store)
    write(store, b="the captain sleeps", c="a white whale, the whale of whales")
    words = store.lexical()
    assert words.query("whale").candidates(5) == ["c", "a"]
    assert words.query("ship").candidates(5) == []
    store.write([], delete=["c"])
    assert words.query("whales").candidates(5) == ["a"]


@pytest.mark.parametrize(
    ("language", "written", "asked"),
    [
        ("german", "die Häuser der Stadt", "haus"),
        ("none", "日本語の長い文書", "文書"),
        # Folded, it has spaces.
        ("none", "before \ufdfa after", "\ufdfa"),
    ],
)
def test_texts_are_analysed_as_in_every_store(create, language, written, asked) -> None:
    store = create(language)
    write(store, a=written, b="nothing of it")
    assert store.lexical().query(asked).candidates(5) == ["a"]


def test_the_language_is_guessed_once(create) -> None:
    store = create(None)
    assert store.lexical().language is None
    write(store, a="der Hund und die Katze sind in dem Haus und nicht auf der Wiese")
    assert store.lexical().language == "german"
    write(store, b="the dog and the cat are in the house and not on the meadow")
    assert store.lexical().language == "german"


def test_a_phrase_stands_word_by_word(create) -> None:
    store = create("english")
    write(store, a="The budget was approved by the board.", b="approved, the budget of the board")
    words = store.lexical()
    assert words.find_phrase("budget was approved") == {"a"}
    assert words.find_phrase("Approved the budget") == {"b"}
    assert words.find_phrase("another budget") == set()
    assert words.find_phrase("the") == {"a", "b"}
    assert words.find_phrase("budget is approved") == set()
    assert words.find_phrase("***") is None


def test_nothing_in_a_query_is_an_operator(create) -> None:
    store = create("english")
    write(store, a="the first document")
    for question in ("", "the of and", "🙂", '"', "a AND (b OR", "x" * 10_000):
        query = store.lexical().query(question)
        assert query.candidates(3) == []
        assert query.scores(["a"]) == {}
        assert len(query.places(["a"])["a"].terms) == 0


def test_an_empty_store_has_no_words(create) -> None:
    words = create(None).lexical()
    assert (len(words), words.language, words.find_phrase("x")) == (0, None, set())
    assert words.query("x").candidates(3) == []
    assert words.query("x").places(["a"]) == {}


def test_words_stand_where_other_stores_find_them(create, tmp_path) -> None:
    texts = {f"id{n}": text(n, length) for n, length in enumerate(LENGTHS)}
    store, other = create("none"), MemoryStore(replace(INFO, language="none"))
    words = WordIndex(tmp_path, "documents")
    for one in (store, other):
        write(one, **texts)
    words.update(other)
    ours, theirs = store.lexical().query(QUERY), words.query(QUERY)
    for key, places in ours.places(list(texts)).items():
        expected = theirs.places([key])[key]
        assert places.characters.tolist() == expected.characters.tolist()
        assert places.starts.tolist() == expected.starts.tolist()
    counts = [query.count_in(["w3_w0.w3"]) for query in (ours, theirs)]
    assert [sorted(each[each > 0]) for each in counts] == [[1, 2]] * 2
    for key, scores in ours.scores(list(texts)).items():
        assert scores.document < ours.highest.document, key
        assert scores.passage < ours.highest.passage, key
