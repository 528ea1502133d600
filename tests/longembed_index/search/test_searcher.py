"""Words beside vectors: candidates, scores, phrases, and words that follow their store."""

from __future__ import annotations

import io
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from chroma_longembed.store import ChromaStore
from longembed_index.derived import behind
from longembed_index.finding import Finder
from longembed_index.hybrid import catch_up, question_of, search_hybrid
from longembed_index.memory import MemoryStore
from longembed_index.opening import COLLECTION, open_store
from longembed_index.records import Record
from longembed_index.spans import SpanFile, SpannedStore
from longembed_index.testing import MADE_BY, with_lines, write_lines
from longembed_index.word_index import WordScores
from small_models import WORDS

from longembed_index import finding, hybrid
from longembed_index.errors import StoreError
from longembed_index.lexical import WordFile
from longembed_st.errors import ConfigError


@pytest.mark.parametrize(
    ("query", "text", "phrases"),
    [
        ('the "red house" now', "the red house now", ["red house"]),
        ("“zwei Worte” und", "zwei Worte und", ["zwei Worte"]),
        ('one " two', 'one " two', []),
        ('"" "  "', "   ", []),
        ('"a  b" "c', 'a  b "c', ["a b"]),
    ],
)
def test_phrases_stand_in_quotes(query, text, phrases) -> None:
    found = question_of(query)
    assert (found.text, found.phrases) == (text, phrases)


TEXTS = {
    "one": "aa green apple\nbb",
    "two": "bb bb green\ncc",
    "three": "cc\naa apple green",
    "four": "ab",
}


@pytest.fixture
def store(tmp_path) -> SpannedStore:
    made = with_lines(MemoryStore(MADE_BY), SpanFile(tmp_path, "documents"))
    write_lines(made, **TEXTS)
    return made


@pytest.fixture
def words(store, tmp_path) -> WordFile:
    made = WordFile(tmp_path, COLLECTION)
    catch_up(store, made, "english")
    return made


def search(store, words, query: str, vector, k: int = 4, **options):
    return search_hybrid(store, words, question_of(query), vector, k, **options)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_score_is_the_weighted_sum_of_its_parts(store, words, weight) -> None:
    query = np.array([1.0, 0, 0])
    found = search(store, words, "green apple", query, weight=weight)
    assert {hit.hit.title for hit in found} == TEXTS.keys()
    scores = words.ask("green apple").scores(list(TEXTS))
    most = max(one.document for one in scores.values())
    best = max(one.passage for one in scores.values())
    for hit in found:
        one = scores[hit.hit.title]
        assert hit.words.document == pytest.approx(one.document / most)
        assert hit.words.passage == pytest.approx(one.passage / best)
        of_words = (hit.words.document + hit.words.passage) / 2
        of_vectors = (hit.document_score + hit.span_score) / 2
        expected = (1 - weight) * of_words + weight * of_vectors
        assert hit.hit.score == pytest.approx(expected, abs=1e-6)
    assert [hit.hit.score for hit in found] == sorted((h.hit.score for h in found), reverse=True)


def test_words_alone_give_only_documents_that_have_one(store, words) -> None:
    found = search(store, words, "apple", None)
    assert {hit.hit.title for hit in found} == {"one", "three"}
    assert found[0].document_score is found[0].span_score is None
    assert search(store, words, "the of", None) == []


def test_the_passage_has_the_words_or_the_meaning(store, words) -> None:
    query = np.array([0, 0, 1.0])
    (three,) = [
        h for h in search(store, words, "apple", query, weight=0.1) if h.hit.title == "three"
    ]
    assert three.passages[0].text == "aa apple green"
    (three,) = [
        h for h in search(store, words, "apple", query, weight=0.9) if h.hit.title == "three"
    ]
    assert three.passages[0].text == "cc\n"


def test_without_spans_windows_of_words_are_the_passages(tmp_path) -> None:
    store, words = MemoryStore(MADE_BY), WordFile(tmp_path, COLLECTION)
    text = "lorem " * 600 + "the needle is here. " + "ipsum " * 600
    store.write([Record("a", text, np.ones(3), {}), Record("b", "dolor", np.ones(3), {})])
    catch_up(store, words)
    first, _ = search(store, words, "where is the needle", np.ones(3))
    (passage,) = first.passages
    assert "needle" in passage.text
    assert text[passage.start : passage.end] == passage.text
    assert len(passage.text) < len(text) / 3


def test_phrases_and_metadata_hold_for_both_sides(store, words) -> None:
    query = np.array([1.0, 1, 1])

    def titles(text: str, **options) -> set[str]:
        return {hit.hit.title for hit in search(store, words, text, query, **options)}

    assert titles('"green apple"') == {"one"}
    assert titles('"GREEN   apple" bb') == {"one"}
    assert titles('"apple green"') == {"three"}
    assert titles('"green" "cc"') == {"two", "three"}
    assert titles('"apples green"') == set()
    assert titles("apple", where={"title": "t*"}) == {"two", "three"}


def test_a_large_store_is_asked_for_candidates(store, words, monkeypatch) -> None:
    """Those of both sides, each with both scores."""
    whole = search(store, words, "apple", np.array([0, 1.0, 0]))
    monkeypatch.setattr(hybrid, "FEW", 2)
    monkeypatch.setattr(hybrid, "CANDIDATES", 2)
    found = search(store, words, "apple", np.array([0, 1.0, 0]))
    # "one" and "three" have the word; "two" and "four" are near.
    assert [(h.hit.title, h.hit.score) for h in found] == [
        (h.hit.title, pytest.approx(h.hit.score)) for h in whole
    ]
    # Conditions are met by the candidates, not by what is left of them.
    (four,) = search(store, words, "apple", np.array([0, 1.0, 0]), 1, where={"title": "f*"})
    assert four.hit.title == "four"
    (three,) = search(store, words, "green", None, 1, where={"title": "three"})
    assert three.hit.title == "three"
    assert {h.hit.title for h in search(store, words, '"cc"', np.array([0, 1.0, 0]))} == {
        "two",
        "three",
    }


def test_words_follow_their_store(store, words) -> None:
    assert behind(store, words.ids()) == ([], [])
    write_lines(store, five="ab fresh")
    store.delete(["one"])
    store._store.write([Record("bare", None, np.ones(3), {})])
    assert behind(store, words.ids()) == (["bare", "five"], ["one"])
    catch_up(store, words)
    assert behind(store, words.ids()) == ([], [])
    assert [hit.hit.title for hit in search(store, words, "fresh", None)] == ["five"]
    assert search(store, words, "apple", None)[0].hit.title == "three"


# With a real reader and a real store.


@pytest.fixture
def docs(tmp_path) -> Path:
    draw = random.Random(0)
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(5):
        sentences = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(40)]
        sentences.insert(30, f"The secret of number {number} is zebra{number}.")
        (folder / f"{number}.txt").write_text(" ".join(sentences))
    return folder


@pytest.fixture
def line(docs) -> tuple:
    return ("index", docs, "--store", "STORE", "--model", "MODEL", "--method", "pcw")


def found(run, *words: str) -> list[dict]:
    result = run("search", *words, "--store", "STORE", "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("spans", ["--spans", "--no-spans"])
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_a_word_finds_its_document_and_sentence(run_small, docs, line, spans, mode) -> None:
    run_small(*line, spans)
    first, *others = found(run_small, "zebra3", "--mode", mode)
    assert first["title"] == "3.txt"
    assert first["words"] == {"document": 1, "passage": 1}
    assert len(others) == (4 if mode == "hybrid" else 0)
    (passage,) = first["passages"]
    assert "zebra3" in passage["text"]
    if mode == "lexical":
        text = (docs / "3.txt").read_text()
        assert text[slice(*passage["sentence"])] == "The secret of number 3 is zebra3."
    shown = run_small("search", "zebra3", "--store", "STORE", "--mode", mode)
    assert "in passage 1.000" in " ".join(shown.stdout.split())


def test_dense_is_as_it_was(run_small, docs, line) -> None:
    run_small(*line)
    dense = found(run_small, WORDS[0], "--mode", "dense")
    assert all(one["words"] is None for one in dense)
    whole = found(run_small, WORDS[0], "--weight", "1")
    assert [(one["title"], one["score"]) for one in whole] == [
        (one["title"], pytest.approx(one["score"], abs=1e-5)) for one in dense
    ]


def test_words_are_behind_after_a_kill_or_another_writer(run_small, docs, line, tmp_path) -> None:
    run_small(*line)
    with open_store(tmp_path / "store", write=True) as opened:
        record = next(
            r for r in opened.get([key for key, _ in opened.names()]) if "zebra2" in r.text
        )
        words = WordFile(tmp_path / "store", COLLECTION)
        words.delete([record.id])
    assert found(run_small, "zebra2")[0]["words"]["document"] == 1
    assert record.id in words.ids()
    words.path.unlink()
    assert found(run_small, "zebra2", "--mode", "lexical")[0]["title"] == "2.txt"
    # A document of another program, in place of one of ours: as many as before.
    with open_store(tmp_path / "store", write=True) as opened:
        opened.delete([record.id])
        opened.write([Record("theirs", "about zebra77", record.vector, {"by": "them"})])
    assert found(run_small, "zebra77")[0]["source"] == "theirs"
    assert all(one["words"]["document"] == 0 for one in found(run_small, "zebra2"))


def test_a_store_that_cannot_be_written_to_is_searched(
    run_small, docs, line, tmp_path, monkeypatch
) -> None:
    run_small(*line)
    (tmp_path / "store" / f"longembed.words.{COLLECTION}.sqlite3").unlink()
    real = WordFile.add

    def refuse(self, texts, language=None):
        if self.path.parent == tmp_path / "store":
            raise StoreError("read-only")
        real(self, texts, language)

    monkeypatch.setattr(WordFile, "add", refuse)
    finder = Finder(tmp_path / "store")
    for _ in range(2):
        hits, _ = finder.find("zebra4", 1)
        assert hits[0].hit.title == "4.txt"


def test_the_language_of_a_store(run_small, docs, line, tmp_path) -> None:
    assert run_small(*line, "--language", "klingon").exit_code == 1
    assert run_small(*line, "--language", "german").exit_code == 0
    words = WordFile(tmp_path / "store", COLLECTION)
    assert words.language == "german"
    refused = run_small(*line, "--language", "english")
    assert (refused.exit_code, words.path.name in refused.stderr) == (1, True)
    words.path.unlink()
    assert run_small(*line, "--language", "english").exit_code == 0
    assert words.language == "english"


def test_wrong_modes_and_weights_are_refused(run_small, docs, line, tmp_path) -> None:
    run_small(*line)
    assert run_small("search", "x", "--store", "STORE", "--mode", "fuzzy").exit_code == 2
    assert run_small("search", "x", "--store", "STORE", "--weight", "1.1").exit_code == 2
    finder = Finder(tmp_path / "store")
    with pytest.raises(ConfigError, match="mode must be"):
        finder.find("x", mode="fuzzy")
    with pytest.raises(ConfigError, match="weight must be"):
        finder.find("x", weight=-0.1)
    with pytest.raises(ConfigError, match="blank"):
        finder.find('""')


@pytest.mark.parametrize(
    "query", ['"', 'a" OR "b', "NEAR(a b)", "zebra* -x ^y (", "🙂", "日本", "of the"]
)
@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
def test_a_query_is_never_an_operator(run_small, docs, line, query, mode) -> None:
    run_small(*line)
    result = run_small("search", query, "--store", "STORE", "--mode", mode)
    assert result.exit_code == 0, result.stderr


def test_copied_stores_bring_their_words(run_small, docs, line, tmp_path) -> None:
    run_small(*line)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    finder = Finder(tmp_path / "copy")
    assert finder.find("zebra1", 1)[0][0].hit.title == "1.txt"


class OwnWords:
    """An index of words as a store may have one of its own: it knows one document."""

    def __init__(self, key: str) -> None:
        self.key = key

    def ask(self, query: str) -> OwnWords:
        return self

    def candidates(self, most: int) -> list[str]:
        return [self.key]

    def scores(self, ids) -> dict[str, WordScores]:
        return {key: WordScores(2.0, 1.0) for key in ids if key == self.key}

    def range_scores(self, record_id, ranges):
        return np.ones(len(ranges))

    def text_scores(self, text, ranges):
        return np.ones(len(ranges))

    def with_phrase(self, phrase: str) -> set[str] | None:
        return None

    def windows(self, record_id: str, characters: int) -> list[tuple[int, int]]:
        return [(0, 7)]


def test_a_store_that_ranks_words_takes_over(run_small, docs, line, tmp_path, monkeypatch) -> None:
    with open_store_after(run_small, line, tmp_path) as opened:
        keys = {record.text: record.id for record in opened.get(list(dict(opened.names())))}
    three = next(key for text, key in keys.items() if "zebra3" in text)
    own = property(lambda self: OwnWords(three))
    monkeypatch.setattr(ChromaStore, "word_index", own, raising=False)
    monkeypatch.setattr(ChromaStore, "speak", lambda self, language: None, raising=False)
    (docs / "new.txt").write_text("The secret of number 77 is zebra77.")
    file = WordFile(tmp_path / "store", COLLECTION)
    before = file.ids()
    assert run_small(*line).exit_code == 0
    (hit,) = found(run_small, "zebra77", "--mode", "lexical")
    assert hit["title"] == "3.txt"
    assert hit["words"] == {"document": 1, "passage": 1}
    assert hit["passages"][0]["end"] == 7
    assert file.ids() == before, "no file is caught up"
    assert len(found(run_small, "zebra77", "-k", "2")) == 2


def open_store_after(run_small, line, tmp_path):
    assert run_small(*line).exit_code == 0
    return open_store(tmp_path / "store")


def test_a_store_keeps_how_it_is_searched(run_small, docs, line, tmp_path) -> None:
    settings = tmp_path / "longembed.json"
    settings.write_text(json.dumps({"model": {}, "search": {"mode": "lexical", "weight": 0.7}}))
    assert run_small(*line, "--settings", str(settings)).exit_code == 0
    assert [hit["title"] for hit in found(run_small, "zebra3")] == ["3.txt"]
    finder = Finder(tmp_path / "store")
    assert (finder.ranking.mode, finder.ranking.weight) == ("lexical", 0.7)
    (one, *others) = found(run_small, "zebra3", "--mode", "hybrid")
    assert others
    expected = 0.3 * (one["words"]["document"] + one["words"]["passage"]) / 2
    expected += 0.7 * (one["document_score"] + one["span_score"]) / 2
    assert one["score"] == pytest.approx(expected, abs=1e-4)
    # A run without a file leaves it as it is; what is damaged is named.
    assert run_small(*line).exit_code == 0
    assert Finder(tmp_path / "store").ranking == finder.ranking
    (path,) = (tmp_path / "store").glob("longembed.search.*.json")
    path.write_text("{")
    refused = run_small("search", "zebra3", "--store", "STORE")
    assert (refused.exit_code, path.name in refused.stderr) == (1, True)
    settings.write_text(json.dumps({"model": {}, "search": {"mode": "fuzzy"}}))
    refused = run_small(*line, "--settings", str(settings))
    assert (refused.exit_code, "fuzzy" in refused.stderr) == (1, True)


def test_queries_come_one_after_another(run_small, docs, line, monkeypatch) -> None:
    run_small(*line)
    loads: list[str] = []
    model_of_store = finding.model_of_store
    monkeypatch.setattr(
        finding, "model_of_store", lambda *given: (loads.append("load"), model_of_store(*given))[1]
    )
    monkeypatch.setattr("sys.stdin", io.StringIO('zebra3\n""\nzebra1\n\nzebra2\n'))
    result = run_small("search", "--store", "STORE", "-k", "1", "--json")
    assert result.exit_code == 0, result.stderr
    decoder, rest, titles = json.JSONDecoder(), result.stdout.strip(), []
    while rest:
        answers, end = decoder.raw_decode(rest)
        titles += [answer["title"] for answer in answers]
        rest = rest[end:].strip()
    assert titles == ["3.txt", "1.txt"], "an empty line ends"
    assert "Error: the query is blank" in result.stderr, "which does not end it"
    assert loads == ["load"]


def test_collections_in_one_store_are_apart(run_small, docs, line, tmp_path) -> None:
    run_small(*line)
    other = tmp_path / "other"
    other.mkdir()
    (other / "9.txt").write_text("The secret of number 9 is zebra9.")
    named = ["--collection", "other papers"]
    assert run_small("index", other, *line[2:], *named).exit_code == 1, "Chroma has rules for names"
    named = ["--collection", "other-papers"]
    assert run_small("index", other, *line[2:], *named).exit_code == 0
    assert [one["title"] for one in found(run_small, "zebra9", *named)] == ["9.txt"]
    assert "9.txt" not in {one["title"] for one in found(run_small, "zebra9", "-k", "50")}
    listed = json.loads(run_small("list", "--store", "STORE", *named, "--json").stdout)
    assert [one["title"] for one in listed] == ["9.txt"]
