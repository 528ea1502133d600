"""Spans beside a store, and the passages that a search shows."""

from __future__ import annotations

import json
import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_models import WORDS

import longembed_st as le
from longembed_index.command.display import _around_sentence
from longembed_index.memory import MemoryStore
from longembed_index.opening import COLLECTION, open_store
from longembed_index.passages import Passage, search_dense, sentences_of, with_best_sentence
from longembed_index.records import Record
from longembed_index.spans import FILE, SpanEmbedder, SpanFile, SpannedStore, catch_up
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.sentence_transformer.spans import SpanVectors

MADE_BY = Provenance(ModelSettings(model_name="some/model"), "sha256:one")


def read(texts: list[str]) -> list[SpanVectors]:
    """Spans of ten characters, whose vectors are counts of letters."""
    found = []
    for text in texts:
        ranges = [(a, min(a + 10, len(text))) for a in range(0, len(text), 10)]
        vectors = np.array([vector(text[a:b]) for a, b in ranges])
        found.append(SpanVectors(vectors, ranges, vector(text), Coverage(len(text), len(text), 1)))
    return found


def vector(text: str) -> np.ndarray:
    counts = np.array([1 + text.count(letter) for letter in "abcdefgh"], dtype=np.float32)
    return counts / np.linalg.norm(counts)


@pytest.fixture
def store(tmp_path) -> SpannedStore:
    return SpannedStore(MemoryStore(MADE_BY), SpanFile(tmp_path, COLLECTION), SpanEmbedder(read))


def write(store: SpannedStore, **texts: str) -> None:
    encoded = store.embedder(list(texts.values()))
    rows = zip(texts.items(), encoded.vectors, strict=True)
    store.write([Record(key, text, found, {}) for (key, text), found in rows])


def test_spans_come_and_go_with_their_document(store) -> None:
    write(store, one="aaaaaaaaaabbbbbbbbbb", two="cccc")
    assert store.spans.ids("sha256:one") == {"one", "two"}
    (one,) = [spans for spans in store.spans.read("sha256:one") if spans.id == "one"]
    assert one.ranges.tolist() == [[0, 10], [10, 20]]
    np.testing.assert_allclose(one.vectors[0], vector("a" * 10), atol=1e-3)
    write(store, one="dddddddddddddddddddddddddddddd")
    (one,) = [spans for spans in store.spans.read("sha256:one") if spans.id == "one"]
    assert len(one.ranges) == 3
    store.delete(["one"])
    assert store.spans.ids("sha256:one") == {"two"}
    assert store.spans.ids("sha256:other") == set()


def test_the_score_is_the_average_of_document_and_best_span(store) -> None:
    texts = {"one": "a" * 30 + "bbbbbbbbbb", "two": "abababababababababab", "three": "cccccccccc"}
    write(store, **texts)
    query = vector("bbbbbbbbb")
    found = search_dense(store, query, 3)
    for hit in found:
        text = texts[hit.hit.source]
        own = float(vector(text) @ query)
        best = max(float(spans @ query) for spans in read([text])[0].vectors)
        assert hit.document_score == pytest.approx(own, abs=2e-3)
        assert hit.span_score == pytest.approx(best, abs=2e-3)
        assert hit.hit.score == pytest.approx((own + best) / 2, abs=2e-3)
    assert [hit.hit.score for hit in found] == sorted((h.hit.score for h in found), reverse=True)
    (passage,) = next(hit for hit in found if hit.hit.source == "one").passages
    assert (passage.start, passage.end, passage.text) == (30, 40, "b" * 10)


def test_neighbouring_spans_make_one_passage(store) -> None:
    write(store, one="a" * 10 + "b" * 20 + "c" * 10 + "b" * 10)
    (hit,) = search_dense(store, vector("bbbbbb"), 5, passages=3)
    assert sorted((p.start, p.end) for p in hit.passages) == [(10, 30), (40, 50)]
    assert search_dense(store, vector("b"), 5, passages=0)[0].passages == []


def test_documents_without_spans_are_found_and_catch_up(store, tmp_path) -> None:
    write(store, one="aaaa")
    store._store.write([Record("bare", "bbbbbbbbbb", vector("bbbbbbbbbb"), {})])
    first, *_ = search_dense(store, vector("bbbbbb"), 2)
    assert (first.hit.source, first.span_score, first.passages) == ("bare", None, [])
    assert catch_up(store, store.embedder) == []
    first, *_ = search_dense(store, vector("bbbbbb"), 2)
    assert first.span_score is not None
    # Spans of a document that another program has removed do not count, and go.
    store._store.delete(["bare"])
    assert [hit.hit.source for hit in search_dense(store, vector("b"), 5)] == ["one"]
    catch_up(store, store.embedder)
    assert store.spans.ids("sha256:one") == {"one"}


@pytest.mark.parametrize("damage", ["junk", "row"])
def test_damage_is_made_good(store, tmp_path, damage) -> None:
    write(store, one="aaaaaaaaaa", two="bbbbbbbbbb")
    if damage == "junk":
        (tmp_path / FILE).write_bytes(b"no database" * 100)
    else:
        with sqlite3.connect(tmp_path / FILE) as database:
            database.execute("UPDATE spans SET vectors = zeroblob(36) WHERE id = ?", (b"one",))
    assert {hit.hit.source for hit in search_dense(store, vector("b"), 5)} == {"one", "two"}
    catch_up(store, store.embedder)
    assert store.spans.ids("sha256:one") == {"one", "two"}


def test_a_document_that_cannot_be_read_is_named(store) -> None:
    store._store.write([Record("odd", "x", vector("x"), {})])

    def refuse(texts):
        raise le.InputError("cannot be read")

    assert catch_up(store, SpanEmbedder(refuse)) == [("odd", "cannot be read")]


def test_spans_follow_a_reindexing(store, tmp_path) -> None:
    write(store, one="aaaaaaaaaa")
    other = Provenance(ModelSettings(model_name="some/other"), "sha256:two")
    staged = store.stage(other)
    write(staged, one="aaaaaaaaaa")
    assert store.staged() is not None
    store.switch()
    assert store.fingerprint == "sha256:two"
    assert search_dense(store, vector("a"), 1)[0].span_score is not None
    store.drop_kept()
    assert store.spans.ids("sha256:one") == set()
    assert store.spans.ids("sha256:two") == {"one"}


def test_sentences_and_lines() -> None:
    text = "One. Two is here!\n\nThree\n  Four  \n你好。再见。"
    assert [text[a:b] for a, b in sentences_of(text)] == [
        "One.",
        "Two is here!",
        "Three",
        "Four",
        "你好。",
        "再见。",
    ]
    assert sentences_of(" \n ") == []


def test_a_wrapped_sentence_is_one() -> None:
    text = (
        "HEADING\nThen he had his very\n  last sail of\nall. Again, a number\n\nof feasts.\n- milk"
    )
    assert [" ".join(text[a:b].split()) for a, b in sentences_of(text)] == [
        "HEADING",
        "Then he had his very last sail of all.",
        "Again, a number",
        "of feasts.",
        "- milk",
    ]


def test_the_best_sentence_is_looked_for_in_the_first_passage(store) -> None:
    write(store, one="Aa. Bb bb. Cc cc.")
    (hit,) = search_dense(store, vector("b"), 1, passages=2)
    found = with_best_sentence(
        hit, lambda text, ranges: np.array([text[a:b].count("b") for a, b in ranges])
    )
    start, end = found.passages[0].sentence
    assert "Aa. Bb bb. Cc cc."[start:end].startswith("Bb")


# With a real reader and a real store.


@pytest.fixture
def docs(tmp_path) -> Path:
    draw = random.Random(0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(5):
        sentences = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(40)]
        (folder / f"{number}.txt").write_text(" ".join(sentences))
    return folder


@pytest.fixture
def run(run_small):
    return run_small


def test_what_stands_around_a_sentence_is_shown_in_whole_words() -> None:
    text = "left " * 100 + "The answer. " + "right " * 100
    start = text.index("The")
    passage = Passage(0, len(text), 1.0, text, (start, start + 11))
    before, _, sentence, _, after = (part for part, _ in _around_sentence(passage))
    assert sentence == "The answer."
    assert before.split() == ["...", *["left"] * 40]
    assert after.split() == [*["right"] * 33, "..."]
    # A script without spaces is cut anywhere.
    text = "\u6211" * 500 + "\u3002"
    passage = Passage(0, len(text), 1.0, text, (499, 501))
    shown = [part for part, _ in _around_sentence(passage)]
    assert shown == ["... " + "\u6211" * 200, " ", "\u6211\u3002"]


def test_a_search_shows_where_the_answer_stands(run, docs, small_model) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert run(*line).exit_code == 0
    text = (docs / "3.txt").read_text()
    model = le.load(str(small_model("bert", positions=64)), "pcw")
    (spans,) = model.encode_spans([text])
    start, end = spans.spans[4]
    dense = ("--store", "STORE", "--mode", "dense")
    answers = json.loads(run("search", text[start:end], *dense, "--json").stdout)
    found = next(one for one in answers if one["title"] == "3.txt")
    (passage,) = found["passages"]
    assert (passage["start"], passage["end"]) == (start, end)
    assert passage["text"] == text[start:end]
    assert passage["score"] == pytest.approx(1, abs=1e-3)
    assert passage["share"] == pytest.approx(passage["sentence"][0] / len(text))
    assert passage["page"] is passage["heading"] is None
    best = text[slice(*passage["sentence"])]
    assert best in passage["text"]
    assert found["score"] == pytest.approx(
        (found["document_score"] + found["span_score"]) / 2, abs=1e-5
    )
    # Of all its sentences, the one that is nearest in the context of its passage.
    ranges = sentences_of(passage["text"])
    scores = model.encode_ranges(passage["text"], ranges) @ model.encode_query(text[start:end])
    assert best == passage["text"][slice(*ranges[int(scores.argmax())])]
    shown = run("search", text[start:end], *dense, "--passages", "2")
    assert "of the document:" in shown.stdout
    assert best in " ".join(shown.stdout.split())
    assert run("search", best, "--store", "STORE", "--passages", "0").exit_code == 0


def test_vectors_are_those_of_a_store_without_spans(run, docs, tmp_path) -> None:
    line = ("index", docs, "--model", "MODEL", "--method", "pcw", "--store")
    assert run(*line, "plain", "--no-spans").exit_code == 0
    assert run(*line, "STORE").exit_code == 0

    def vectors(place: Path) -> dict[str, np.ndarray]:
        with open_store(place) as opened:
            return {r.name: r.vector for r in opened.get([key for key, _ in opened.names()])}

    plain, spanned = vectors(tmp_path / "plain"), vectors(tmp_path / "store")
    assert plain.keys() == spanned.keys()
    for name, vector in plain.items():
        np.testing.assert_allclose(spanned[name], vector, atol=1e-5)
    assert not (tmp_path / "plain" / FILE).exists()


def test_a_store_made_before_gets_spans_and_keeps_them(run, docs, tmp_path) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert run(*line, "--no-spans").exit_code == 0
    # What was chosen holds.
    assert run(*line).exit_code == 0
    query = ("search", WORDS[0], "--store", "STORE", "--json", "--mode", "dense")
    assert "passages" not in json.loads(run(*query).stdout)[0]
    assert run(*line, "--spans").exit_code == 0
    assert json.loads(run(*query).stdout)[0]["passages"]
    # Later runs need not say it again; a changed document changes its spans.
    (docs / "0.txt").write_text(f"{WORDS[0]}. " * 100)
    assert run("index", docs, "--store", "STORE").exit_code == 0
    changed = next(a for a in json.loads(run(*query).stdout) if a["title"] == "0.txt")
    assert changed["passages"][0]["text"].startswith(f"{WORDS[0]}. ")
    (docs / "1.txt").unlink()
    assert run("index", docs, "--store", "STORE", "--prune").exit_code == 0
    assert len(json.loads(run(*query, "-k", "9").stdout)) == 4
    assert run("reindex", "--store", "STORE", "--method", "pi", "--drop-old").exit_code == 0
    assert all(one["passages"] for one in json.loads(run(*query).stdout))


def test_verify_compares_spans(run, docs, tmp_path) -> None:
    line = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    run(*line)
    sound = run(*line, "--verify")
    assert (sound.exit_code, "Verified: 5" in sound.stdout) == (0, True)
    with open_store(tmp_path / "store") as opened:
        file = SpanFile(tmp_path / "store", COLLECTION)
        fingerprint = str(opened.provenance.fingerprint)
        (one,) = file.read(fingerprint, [next(iter(file.ids(fingerprint)))])
        name = opened.get([one.id])[0].name
    file.put(fingerprint, [replace(one, vectors=np.roll(one.vectors, 1, axis=0))])
    differs = run(*line, "--verify")
    assert differs.exit_code == 1
    assert Path(name).name in differs.stderr
    assert FILE in differs.stderr
    # The way out that it names.
    (tmp_path / "store" / FILE).unlink()
    assert run(*line, "--spans", "--verify").exit_code == 0


def test_spans_are_kept_where_they_cost_little_or_are_asked_for(run, docs, tmp_path) -> None:
    line = ("index", docs, "--model", "MODEL", "--method", "pi", "--store")
    result = run(*line, "STORE")
    assert "No spans" in result.stderr
    assert not (tmp_path / "store" / FILE).exists()
    assert run(*line, "other", "--spans").exit_code == 0
    assert run("search", "x", "--store", "other", "--json").stdout.count('"passages"') == 5
    refused = run(*line, "other", "--no-spans")
    assert refused.exit_code == 1
    assert f"delete {Path('other', FILE)}" in " ".join(refused.stderr.split())


def test_a_store_without_documents_yet_remembers_its_spans(run, docs, tmp_path) -> None:
    for file in docs.iterdir():
        file.write_text(" ")
    line = ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert "documents failed" in run(*line).stdout
    (docs / "0.txt").write_text(f"{WORDS[0]}. " * 100)
    assert run("index", docs, "--store", "STORE").exit_code == 0
    assert json.loads(run("search", WORDS[0], "--store", "STORE", "--json").stdout)[0]["passages"]


def test_a_slow_tokenizer_means_no_spans(run, docs, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(le.LongSentenceTransformer, "has_offsets", False)
    result = run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert (result.exit_code, "characters of its tokens" in result.stderr) == (0, True)
    assert not (tmp_path / "store" / FILE).exists()


@pytest.mark.parametrize("spans", ["--spans", pytest.param("--no-spans", marks=pytest.mark.slow)])
def test_a_search_among_documents_with_some_metadata(run, docs, spans) -> None:
    run("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw", spans)
    query = ("search", WORDS[0], "--store", "STORE", "--json", "-k", "2")

    def titles(*conditions: str) -> list[str]:
        result = run(*query, *(word for one in conditions for word in ("--where", one)))
        assert result.exit_code == 0, result.stderr
        return [one["title"] for one in json.loads(result.stdout)]

    every = titles()
    assert len(every) == 2
    last = json.loads(run(*query, "-k", "5").stdout)[-1]["title"]
    assert titles(f"title={last}") == titles(f"source=*/{last}") == [last]
    assert titles("title=*.txt") == every
    assert titles("source=*.txt", f"title={last}") == [last]
    assert titles("title=*.pdf") == []
    assert titles(f"title={last}", "windows=9?", "read=*") == []
    result = run(*query[:-3], "--where", "title=*.pdf")
    assert "No document" in result.stderr
    for wrong, message in (("title", "KEY=VALUE"), ("=x", "KEY=VALUE"), ("year=2019", "'year'")):
        result = run(*query, "--where", wrong)
        assert (result.exit_code, message in result.stderr) == (1, True), wrong
    twice = run(*query, "--where", "title=a", "--where", "title=b")
    assert (twice.exit_code, "twice" in twice.stderr) == (1, True)


@pytest.mark.usefixtures("gains")
def test_a_whitened_store_has_whitened_spans(run, tmp_path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    draw = random.Random(1)
    for number in range(30):
        own = draw.choices(WORDS, k=12)
        (folder / f"{number}.txt").write_text(
            ". ".join(" ".join(draw.choices(own, k=8)) for _ in range(30))
        )
    line = ("index", folder, "--store", "STORE", "--model", "MODEL", "--method", "pcw")
    assert run(*line, "--spans", "--whiten").exit_code == 0
    (file,) = (tmp_path / "store").glob("whitening-*")
    with open_store(tmp_path / "store") as opened:
        spanned = SpannedStore(opened, SpanFile(tmp_path / "store", COLLECTION))
        model = le.load(spanned.provenance.settings.model_name, "pcw", whitening=str(file))
        records = {record.id: record for record in opened.get([key for key, _ in opened.names()])}
        found = list(spanned.spans.read(spanned.fingerprint))
    assert len(found) == 30
    for one in found[:5]:
        (expected,) = model.encode_spans([records[one.id].text])
        assert one.ranges.tolist() == [list(span) for span in expected.spans]
        np.testing.assert_allclose(one.vectors, expected.vectors, atol=2e-3)
        np.testing.assert_allclose(one.document, expected.document, atol=2e-3)
