"""The words of a store: exact BM25, however they came and went."""

from __future__ import annotations

import random
import sqlite3

import numpy as np
import pytest
from reference.bm25 import bm25, passages
from zipf import text

from longembed_index.bm25 import idf
from longembed_index.errors import StoreError
from longembed_index.lexical import WordFile
from longembed_index.word_scores import STEP, WINDOW, window_count, window_lengths
from longembed_index.words import Words

QUERY = "w0 w3 w3 w50 w299 unknown"


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    lengths = [0, 1, 5, 124, 125, 126, 249, 250, 251, 374, 375, 376, 500, 2_000, 60, 61, 62, 63]
    return {f"id {n}": text(n, length) for n, length in enumerate(lengths)}


@pytest.fixture
def words(tmp_path, texts) -> WordFile:
    made = WordFile(tmp_path, "documents")
    made.add(texts, "none")
    return made


def test_scores_are_those_of_the_formula(words, texts) -> None:
    cut = {key: one.split() for key, one in texts.items()}
    whole = bm25(QUERY.split(), list(cut.values()))
    every = [(key, part) for key, one in cut.items() for part in passages(one, WINDOW, STEP)]
    parts = bm25(QUERY.split(), [part for _, part in every])
    best = {
        key: max(score for (other, _), score in zip(every, parts, strict=True) if other == key)
        for key in cut
    }
    found = words.ask(QUERY).scores(list(texts))
    assert found.keys() == texts.keys()
    for (key, one), expected in zip(
        found.items(), [whole[list(cut).index(k)] for k in found], strict=True
    ):
        assert one.document == pytest.approx(expected, abs=1e-9)
        assert one.passage == pytest.approx(best[key], abs=1e-9)
    assert max(one.document for one in found.values()) > 0


@pytest.mark.parametrize("length", [0, 1, 249, 250, 251, 374, 375, 376, 377, 5_000])
def test_windows_cover_a_text_as_the_reference_has_them(length) -> None:
    expected = [len(one) for one in passages(["x"] * length, WINDOW, STEP)]
    assert window_lengths(length).tolist() == expected
    assert window_count(length) == len(expected)


def test_idf_is_never_negative() -> None:
    assert (idf(np.arange(1.0, 11), 10) > 0).all()


def test_a_grown_index_equals_a_fresh_one(words, texts, tmp_path) -> None:
    draw = random.Random(0)
    now = dict(texts)
    for step in range(30):
        if step % 3 and now:
            gone = draw.sample(sorted(now), 2)
            words.delete(gone)
            now = {key: one for key, one in now.items() if key not in gone}
        else:
            new = {f"new {step} {n}": text(100 * step + n, draw.randrange(600)) for n in range(3)}
            words.add(new)
            now |= new
    fresh = WordFile(tmp_path / "fresh", "documents")
    (tmp_path / "fresh").mkdir()
    fresh.add(now, "none")
    assert words.ids() == fresh.ids() == now.keys()
    assert len(words) == len(now)
    assert words.ask(QUERY).scores(list(now)) == fresh.ask(QUERY).scores(list(now))
    assert set(words.ask(QUERY).candidates(5)) == set(fresh.ask(QUERY).candidates(5))
    # What comes back changes nothing but what it must.
    before = words.ask(QUERY).scores(list(now))
    key = next(iter(now))
    words.delete([key])
    words.add({key: now[key]})
    assert words.ask(QUERY).scores(list(now)) == before


def test_what_is_there_is_left_as_it_is(words, texts) -> None:
    before = words.ask(QUERY).scores(list(texts))
    words.add(texts)
    words.delete(["nobody"])
    assert words.ask(QUERY).scores(list(texts)) == before
    assert words.ask(QUERY).scores(["nobody"]) == {}


def test_candidates_have_a_word_and_the_likeliest_come_first(words, texts) -> None:
    found = words.ask("w299 w298").candidates(3)
    having = {key for key, one in texts.items() if {"w298", "w299"} & set(one.split())}
    assert set(found) <= having
    scores = words.ask("w299 w298").scores(sorted(having))
    assert found[0] == max(scores, key=lambda key: scores[key].document)
    assert words.ask("unknown").candidates(3) == []
    assert set(words.ask("unknown").candidates(100)) == texts.keys()


HOSTILE = [
    '"', '""', 'a" OR "b', "NEAR(w1 w2)", "w1 AND NOT w2", "w1*", "^w1", "x:w1", "(((", "-w1", "\0",
    "🙂", "the and of", "'; DROP TABLE words; --", "w1 " * 30_000, "\u2028", "日本", "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("query", HOSTILE)
def test_a_query_is_text(words, texts, query) -> None:
    assert words.ask(query).scores(list(texts)).keys() == texts.keys()
    assert len(words.ask(query).candidates(4)) <= 4
    found = words.with_phrase(query)
    assert found is None or found <= texts.keys()


def test_phrases(tmp_path) -> None:
    words = WordFile(tmp_path, "documents")
    words.add(
        {"a": "The red house of the town.", "b": "A house, red as any town", "c": "red"}, "english"
    )
    assert words.with_phrase("red houses") == {"a"}
    assert words.with_phrase("house of the town") == {"a"}
    assert words.with_phrase("red") == {"a", "b", "c"}
    assert words.with_phrase("blue town") == set()
    assert words.with_phrase("of the") is None


def test_parts_of_a_document_are_scored_as_passages(words, texts) -> None:
    key = "id 13"
    ranges = words.windows(key, len(texts[key]))
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(texts[key])
    assert [len(texts[key][a:b].split()) for a, b in ranges] == [
        len(one) for one in passages(texts[key].split(), WINDOW, STEP)
    ]
    scores = words.ask(QUERY).range_scores(key, ranges)
    assert scores.max() == pytest.approx(words.ask(QUERY).scores([key])[key].passage)
    again = words.ask(QUERY).text_scores(texts[key], ranges)
    np.testing.assert_allclose(again, scores)
    assert words.windows("nobody", 5) == []
    assert words.ask(QUERY).range_scores("nobody", [(0, 5)]).tolist() == [0]


def test_collections_and_odd_ids(tmp_path) -> None:
    one, other = WordFile(tmp_path, "a/b"), WordFile(tmp_path, "a b")
    keys = ["日本", "\ud800", "x'y", ""]
    one.add(dict.fromkeys(keys, "word"))
    assert one.ids() == set(keys)
    assert len(other) == 0
    assert other.ids() == set()
    one.delete(keys[:2])
    assert one.ids() == set(keys[2:])


@pytest.mark.parametrize("damage", ["junk", "gone", "pages"])
def test_a_damaged_file_is_begun_anew(words, texts, damage) -> None:
    if damage == "gone":
        words.path.unlink()
    elif damage == "junk":
        words.path.write_bytes(b"no database" * 1_000)
    else:
        data = bytearray(words.path.read_bytes())
        data[4_096:] = bytes(len(data) - 4_096)
        words.path.write_bytes(bytes(data))
    assert words.ids() == set()
    assert len(words) == 0
    if damage == "gone":
        assert words.ask(QUERY).scores(list(texts)) == {}
    else:
        with pytest.raises(StoreError, match="damaged"):
            words.ask(QUERY).scores(list(texts))
    words.add(texts, "none")
    assert words.ids() == texts.keys()
    assert len(words.ask(QUERY).scores(list(texts))) == len(texts)


def test_a_batch_that_fails_leaves_nothing(words, texts, monkeypatch) -> None:
    before = words.ask(QUERY).scores(list(texts))
    real = Words.of

    def fail(self, text):
        if "boom" in text:
            raise sqlite3.OperationalError("disk I/O error")
        return real(self, text)

    monkeypatch.setattr(Words, "of", fail)
    with pytest.raises(Exception, match="disk"):
        words.add({"fine": "w1 w2", "bad": "boom"})
    assert words.ids() == texts.keys()
    assert words.ask(QUERY).scores(list(texts)) == before
