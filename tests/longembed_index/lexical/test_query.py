"""Queries: scores by the formula, candidates in their order, phrases, and any text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reference.bm25 import bm25, passages
from word_stores import QUERY, records, scores_of, store_of, updated

from longembed_index.lexical.scores import STEP, WINDOW
from longembed_index.store.conformance import INFO


def test_scores_are_those_of_the_formula(words, texts) -> None:
    terms = {key: text.split() for key, text in texts.items()}
    documents = dict(zip(terms, bm25(QUERY.split(), list(terms.values())), strict=True))
    parts = [(key, part) for key, of in terms.items() for part in passages(of, WINDOW, STEP)]
    of_parts = bm25(QUERY.split(), [part for _, part in parts])
    scores = scores_of(words, texts)
    assert scores.keys() == texts.keys()
    for key, score in scores.items():
        best = max(
            of_part for (other, _), of_part in zip(parts, of_parts, strict=True) if other == key
        )
        assert score.document == pytest.approx(documents[key], abs=1e-9)
        assert score.passage == pytest.approx(best, abs=1e-9)
    assert max(score.document for score in scores.values()) > 0
    assert scores_of(words, {"nobody": ""}) == {}


def test_candidates_are_the_best_documents_that_have_a_word(words, texts) -> None:
    scores = scores_of(words, texts, "w299 w298 w0")
    having = {key for key, text in texts.items() if {"w0", "w298", "w299"} & set(text.split())}
    best = sorted(having, key=lambda key: (-scores[key].document, key))
    query = words.query("w299 w298 w0")
    assert query.candidates(100) == best
    assert query.candidates(3) == best[:3]
    assert query.candidates(3, best[4:8]) == best[4:7]
    assert query.candidates(3, ["nobody"]) == []
    assert query.candidates(3, []) == []
    assert query.candidates(0) == []
    assert words.query("unknown").candidates(3) == []


def test_as_many_candidates_as_asked_for(tmp_path) -> None:
    # Frequent words are left out only while there are enough documents without them.
    texts = {f"{n:04}": "a b c d e f g h " + ("rare" if n < 5 else "") for n in range(700)}
    words = updated(tmp_path, store_of(texts))
    query = words.query("rare a b c d e f g h")
    assert query.candidates(7) == [f"{n:04}" for n in range(7)]
    assert len(query.candidates(500)) == 500
    assert len(query.candidates(10_000)) == 700
    assert query.candidates(2, [f"{n:04}" for n in (3, 600, 400)]) == ["0003", "0400"]


def test_documents_with_nothing_but_frequent_words_are_found_if_asked_for(tmp_path) -> None:
    texts = {
        f"{n:03}": " ".join(["a"] * (n < 60) + ["b"] * (n < 70) + ["c"] * (n >= 20))
        for n in range(100)
    }
    query = updated(tmp_path, store_of(texts)).query("a b c")
    assert sorted(query.candidates(100)) == sorted(texts)
    assert set(query.candidates(70)) == {f"{n:03}" for n in range(70)}


HOSTILE = [
    "", '"', 'a" OR "b', "NEAR(w1 w2)", "w1*", "\0", "the and of", "'; DROP TABLE terms; --",
    "w1 " * 30_000, " ".join(f"w{n}" for n in range(3_000)), "\ud800", "日本",
]  # fmt: skip


def test_a_query_is_text(words, texts) -> None:
    for query in HOSTILE:
        assert scores_of(words, texts, query).keys() == texts.keys()
        assert len(words.query(query).candidates(4)) <= 4
        found = words.find_phrase(query)
        assert found is None or found <= texts.keys()


def test_phrases_are_terms_in_a_row(tmp_path) -> None:
    texts = {
        "a": "The red house of the town.",
        "b": "A house, red as any town",
        "c": "red",
        "d": "Town, red town and house",
    }
    words = updated(tmp_path, store_of(texts, INFO))
    assert words.find_phrase("red houses") == {"a"}
    assert words.find_phrase("house of the town") == {"a"}
    assert words.find_phrase("red") == {"a", "b", "c", "d"}
    assert words.find_phrase("town red town") == {"d"}
    assert words.find_phrase("red red") == set()
    assert words.find_phrase("blue town") == set()
    assert words.find_phrase("of the") == {"a"}
    assert words.find_phrase("house in the town") == set()
    assert words.find_phrase("***") is None


SEEN = {
    "bold": "The council approved the **annual** budget of the harbour.",
    "link": 'See [the quay](http://example.com/a "map") wall and the _north_ pier.',
    "apostrophe": "We don’t negotiate, he said: it's late.",
    "soft": "Das Ge\u00adsamt\u00adkonzept des Ha\u00adfens",
    "line": "> the well-\n> known infra-\n> structure\n> programme",
    "decomposed": "le the\u0301 a\u0300 la menthe",
    "escaped": "1\\. the north \\*star\\* of snake\\_case",
    "korean": "서울에서 예산회의를 열었다. 책을",
    "chinese": "委员会批准了港\n口预算",
    "hebrew": "הַמּוֹעָצָה אִשְּׁרָה אֶת הַתַּקְצִיב",
}


def test_a_phrase_is_what_a_reader_sees_in_a_row(tmp_path) -> None:
    expected = {
        "approved the annual budget": "bold",
        "the quay wall": "link",
        "example.com/a": "link",
        "the north pier": "link",
        "DON'T   negotiate": "apostrophe",
        "said: it’s late": "apostrophe",
        "Gesamtkonzept des Hafens": "soft",
        "infrastructure programme": "line",
        "well-known infrastructure": "line",
        "thé à la": "decomposed",
        "north star of snake_case": "escaped",
        "서울에서 예산회의": "korean",
        "책": "korean",
        "港口预算": "chinese",
        "港": "chinese",
        "המועצה אשרה את": "hebrew",
    }
    words = updated(tmp_path, store_of(SEEN, replace(INFO, language="english")))
    assert {phrase: words.find_phrase(phrase) for phrase in expected} == {
        phrase: {document} for phrase, document in expected.items()
    }
    for phrase in ("המועצה אישרה", "annual wall", "quay http", "structure the"):
        assert words.find_phrase(phrase) == set()


def test_a_lone_character_is_found_in_words(tmp_path) -> None:
    texts = {
        "begins": "책을 읽었다",
        "ends": "동화책",
        "alone": "책",
        "other": "서울",
        "zh": "海港。",
    }
    words = updated(tmp_path, store_of(texts))
    assert set(words.query("책").candidates(9)) == {"begins", "ends", "alone"}
    assert words.find_phrase("책") == {"begins", "ends", "alone"}
    assert words.query("港").candidates(9) == ["zh"]


def test_a_phrase_across_long_documents(tmp_path) -> None:
    texts = {
        key: "filler " * 70_000 + tail for key, tail in (("a", "red house"), ("b", "house red"))
    }
    words = updated(tmp_path, store_of(texts))
    assert words.find_phrase("red house") == {"a"}
    assert words.find_phrase("filler red") == {"a"}
    assert words.find_phrase("filler " * 300) == {"a", "b"}


def test_the_places_of_terms_are_where_they_stand(tmp_path) -> None:
    texts = {"a": "w3 w0, then w3 again", "b": "nothing", "c": ""}
    words = updated(tmp_path, store_of(texts))
    query = words.query("w3 w0 w3 unknown")
    places = query.places([*texts, "nobody"])
    assert places.keys() == texts.keys()
    a = places["a"]
    assert a.characters.tolist() == [0, 3, 12]
    assert a.starts.tolist() == [0, 3, 7, 12, 15]
    assert a.terms[0] == a.terms[2] != a.terms[1]
    weights = query.weights.document_weights
    assert weights[a.terms[0]] == pytest.approx(2 * weights[a.terms[1]]), "asked for twice"
    assert query.highest.document > weights.sum(), "with the unknown term"
    assert len(places["b"].terms) == 0


def test_the_terms_of_other_texts_are_counted(tmp_path) -> None:
    words = updated(tmp_path, store_of({"a": "w3 w0, then w3 again"}))
    query = words.query("w3 w0 unknown")
    w3, w0, *_ = query.places(["a"])["a"].terms
    counts = query.count_in(["W0_w0.pdf", "unknown", ""])
    assert counts[:, [w3, w0]].tolist() == [[0, 2], [0, 0], [0, 0]]
    assert words.query("unknown").count_in(["unknown"]).shape == (1, 0)


def test_a_query_goes_on_when_its_terms_have_other_numbers(words, store, texts) -> None:
    query = words.query(QUERY)
    before = query.scores(list(texts))
    store.write(records({"first": " ".join(f"new{n}" for n in range(50))}))
    store.update_info(replace(INFO, language="english"))
    words.update(store)
    assert query.scores(list(texts)) == words.query(QUERY).scores(list(texts)) != before
