"""What is answered, from which documents, and what is read for it."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from index_fakes import record

from longembed_index.document import Document, Hit, Passage, Record
from longembed_index.errors import PhraseNotFoundWarning, StoreError
from longembed_index.lexical.index import WordIndex
from longembed_index.search import searcher as module
from longembed_index.search.question import parse_question
from longembed_index.search.ranking import Ranking
from longembed_index.search.searcher import TRIES, Searcher, rerank
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.reranking import WindowScores
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

X, Y, Z = np.eye(3, dtype=np.float32)
RANKINGS = {mode: Ranking(mode=mode) for mode in ("hybrid", "dense", "lexical")}


class CountingStore(MemoryStore):
    """Notes what is read of it."""

    def __init__(self, info: StoreInfo) -> None:
        self.looks = threading.Semaphore(0)
        super().__init__(info)
        self.read: list[str] = []
        self.texts: list[str] = []

    @property
    def generation(self) -> int:
        self.looks.release()
        return self._generation

    @generation.setter
    def generation(self, value: int) -> None:
        self._generation = value

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[Record]:
        records = super().get(ids, units=units)
        self.texts += [record.document.id for record in records]
        self.read += ["units"] * units
        return records

    def entries(self, where=None):
        self.read.append("entries")
        return super().entries(where)

    def vectors(self, ids=None):
        self.read.append("vectors")
        return super().vectors(ids)


@pytest.fixture
def store() -> CountingStore:
    provenance = Provenance(ModelSettings(model_name="some/model"), "one")
    return CountingStore(StoreInfo(provenance, units=True, language="english"))


@pytest.fixture
def searcher(store, tmp_path) -> Searcher:
    words = WordIndex(tmp_path, "documents")

    def updated() -> WordIndex:
        words.update(store)
        return words

    return Searcher(store, updated)


@pytest.fixture
def small_steps(monkeypatch) -> None:
    """A store of more than two documents is a large one, of which two candidates are asked for."""
    monkeypatch.setattr(module, "FEW", 2)
    monkeypatch.setattr("longembed_index.search.query._LEAST", 2)


def search(searcher: Searcher, query: str, vector=X, k: int = 5, mode: str = "hybrid", **options):
    question = parse_question(query)
    vector = None if mode == "lexical" else vector
    return searcher.search(question, vector, k, ranking=RANKINGS[mode], **options)


def ids(hits) -> list[str]:
    return [hit.document.id for hit in hits]


def fruit(store) -> None:
    store.write(
        [
            record("four", "ab", Y),
            record("one", "aa green apple\nbb", X, [(0, 15, X), (15, 17, Y)], year=2019),
            record("three", "cc\naa apple green", X, [(0, 2, Z), (3, 17, X)], year=2020),
            record("two", "bb bb green\ncc", Y, [(0, 12, Y), (12, 14, Z)], year=2019),
        ]
    )


def copies(store, number: int) -> None:
    """Write many copies of the text that answers best, and five others."""
    same = [record(f"copy {n:03}", "the green apple", X) for n in range(number)]
    others = [record(f"other {n}", f"green {n}", [1, 1 + n, 0]) for n in range(5)]
    store.write([replace(each, vector=each.vector) for each in [*same, *others]])


def test_words_alone_give_only_documents_that_have_one(store, searcher) -> None:
    fruit(store)
    hits = search(searcher, "apple", mode="lexical")
    assert set(ids(hits)) == {"one", "three"}
    assert all(hit.scores.keys() == {"document_words", "best_passage_words"} for hit in hits)
    assert search(searcher, "the of", mode="lexical") == []
    assert store.read.count("vectors") == 0


def test_the_passage_has_the_words_or_the_meaning(store, searcher) -> None:
    fruit(store)
    for weight, text in ((0.1, "aa apple green"), (0.9, "cc")):
        (three,) = searcher.search(
            parse_question("apple"),
            Z,
            passage_words=1,
            ranking=Ranking(weight=weight),
            where={"id": "three"},
        )
        assert [passage.text for passage in three.passages] == [text]
        assert (three.tokens, three.tokens_read) == (4, 4)


def test_without_spans_windows_of_words_are_the_passages(store, searcher) -> None:
    text = "lorem " * 600 + "the needle is here. " + "ipsum " * 600
    store.write([record("a", text, X), record("b", "dolor", X)])
    first, _ = search(searcher, "where is the needle")
    (passage,) = first.passages
    assert "needle" in passage.text
    assert text[passage.start : passage.end] == passage.text
    assert len(passage.text) < len(text) / 3
    assert search(searcher, "needle", mode="dense")[0].passages == ()


def test_phrases_and_filters_hold_for_both_sides(store, searcher, monkeypatch) -> None:
    fruit(store)
    sides = (("hybrid", False), ("hybrid", True), ("dense", True), ("lexical", False))
    for (mode, is_large), (query, where, expected) in itertools.product(
        sides,
        (
            ('"green apple"', None, {"one"}),
            ('"GREEN   apple" bb', None, {"one"}),
            ('"apple green"', None, {"three"}),
            ('"green" "cc"', None, {"two", "three"}),
            ('"apples green"', None, {"three"}),  # Another form of the word.
            ("green", {"id": "t*"}, {"two", "three"}),
            ('"green" apple', {"year": 2019}, {"one", "two"}),
            ("green", {"year": {"gt": 2019}}, {"three"}),
            ("green", {"year": 1999}, set()),
        ),
    ):
        monkeypatch.setattr(module, "FEW", 0 if is_large else 1_000)
        hits = search(searcher, query, X + Y, mode=mode, where=where)
        assert set(ids(hits)) == expected, (mode, is_large, query)


def test_a_phrase_that_no_document_has_is_named(store, searcher) -> None:
    fruit(store)
    for query, where, message in (
        ('"green apples green"', None, 'no document has these words in this order: "green apples'),
        ('"cc" "green apple"', None, '"cc", "green apple". Leave out the quotes'),
        ('"green apple"', {"id": "t*"}, "no document that meets the filter has"),
    ):
        for mode in RANKINGS:
            with pytest.warns(PhraseNotFoundWarning, match=re.escape(message)):
                assert search(searcher, query, X, mode=mode, where=where) == []


def test_a_phrase_of_stop_words_is_found(store, searcher, small_steps) -> None:
    texts = {f"doc {n}": f"apple {n} of a" for n in range(40)} | {"last": "an apple of the\nsea"}
    store.write([record(key, text, Y if key == "last" else X) for key, text in texts.items()])
    for mode in RANKINGS:
        assert ids(search(searcher, 'apple "of the"', k=3, mode=mode)) == ["last"]


def test_copies_hide_nothing(store, searcher, small_steps) -> None:
    copies(store, 250)
    for mode in RANKINGS:
        hits = search(searcher, "green apple", k=6, mode=mode)
        assert ids(hits)[0] == "copy 000"
        assert hits[0].copies == tuple(f"copy {n:03}" for n in range(1, 250))
        assert set(ids(hits)[1:]) == {f"other {n}" for n in range(5)}
        (first,) = search(searcher, "green apple", k=1, mode=mode)
        assert len(first.copies) == 249
        (first, *_) = search(searcher, "green", k=2, mode=mode, where={"id": "copy 0*"})
        assert first.copies[-1] == "copy 099"


def test_as_many_as_asked_are_found_in_a_large_store(store, searcher) -> None:
    store.write([record(f"{n:04}", f"apple {n}", [1, n / 100, 1]) for n in range(1_200)])
    from_the_store = Searcher(store, searcher._words, budget=0)
    assert len(search(from_the_store, "apple", k=500, mode="dense")) == 500
    for mode in RANKINGS:
        assert len(search(searcher, "apple", k=500, mode=mode)) == 500
        assert len(search(searcher, "apple", k=2_000, mode=mode)) == 1_200


def test_texts_are_read_of_the_hits_only(store, searcher) -> None:
    store.write([record(f"{n:03}", f"apple {n}", [1, n / 10, 0]) for n in range(100)])
    for mode in RANKINGS:
        search(searcher, "apple", mode=mode, k=3)
        store.texts.clear()
        assert ids(search(searcher, "apple 1 2 3", mode=mode, k=3)) == store.texts[:3]
        assert len(store.texts) <= 4, "one more if it may be a copy"


def test_a_warm_search_reads_only_texts(store, searcher) -> None:
    fruit(store)
    options = [{"mode": mode} for mode in RANKINGS] + [{"where": {"year": 2019}}]
    cold = [ids(search(searcher, "apple", **option)) for option in options]
    store.read.clear()
    assert [ids(search(searcher, "apple", **option)) for option in options] == cold
    assert store.read == []


def test_what_is_written_is_found_by_the_next_search(store, searcher) -> None:
    fruit(store)
    for mode in RANKINGS:
        search(searcher, "apple", mode=mode, where={"id": "*"})
    store.write([record("zero", "an apple", X)], delete=["one"])
    for mode in RANKINGS:
        assert "zero" in ids(search(searcher, "apple", mode=mode, where={"id": "*"}))
        assert "one" not in ids(search(searcher, "apple", mode=mode))


def test_what_did_not_fit_is_not_read_again_until_there_is_less(store, searcher) -> None:
    fruit(store)
    limited = Searcher(store, searcher._words, budget=40)
    assert ids(search(limited, "x", mode="dense")) == ids(search(searcher, "x", mode="dense"))
    of_candidates = ["vectors", "units", "units"]
    store.read.clear()
    search(limited, "x", mode="dense")
    assert store.read == of_candidates
    store.write([record("five", "ab", Y)])
    store.read.clear()
    search(limited, "x", mode="dense")
    assert store.read == ["entries", *of_candidates]
    store.write([], delete=["one", "two", "three", "five"])
    search(limited, "x", mode="dense")
    store.read.clear()
    search(limited, "x", mode="dense")
    assert "vectors" not in store.read


def test_documents_that_are_deleted_during_a_search_are_left_out(
    store, searcher, monkeypatch
) -> None:
    fruit(store)
    get = store.get

    def get_others(ids: Sequence[str], **options: bool) -> list[Record]:
        return get([key for key in ids if key != "one"], **options)

    monkeypatch.setattr(store, "get", get_others)
    assert ids(search(searcher, "apple")) == ["three", "four", "two"]


@pytest.mark.parametrize("changes", [1, TRIES])
def test_passages_are_of_the_text_that_is_returned(store, searcher, changes) -> None:
    texts = ("pie. An apple is a fruit.", "A long sentence stands here now. An apple is green.")
    versions = [
        replace(record("a", text, X, [(0, 5, Y), (5, len(text), X)]), content_hash=text)
        for text in texts
    ]
    following = cycle([versions[1], versions[0]])
    store.write(versions[:1])
    get = store.get

    def get_then_change(ids: Sequence[str], *, units: bool = False) -> list[Record]:
        nonlocal changes
        records = get(ids, units=units)
        if units and changes:
            changes -= 1
            store.write([next(following)])
        return records

    store.get = get_then_change
    if changes == TRIES:
        with pytest.raises(StoreError, match="changed during each of 20 searches"):
            search(searcher, "apple")
        return
    (hit,) = search(searcher, "apple")
    assert hit.document.text == texts[1]
    assert hit.passages[0].end == len(texts[1])


def test_an_error_of_the_store_or_the_words_is_not_hidden(store, searcher, monkeypatch) -> None:
    fruit(store)

    def fail(*arguments, **options):
        raise StoreError("damaged")

    for name in ("vectors", "get"):
        with monkeypatch.context() as patch:
            patch.setattr(store, name, fail)
            with pytest.raises(StoreError, match="damaged"):
                search(Searcher(store, searcher._words), "apple", mode="dense")
    with pytest.raises(StoreError, match="damaged"):
        search(Searcher(store, fail), "apple")


def test_the_best_sentence_is_that_of_the_query(store, searcher) -> None:
    text = "An apple. A pear here. A plum."
    units = [(0, 9, Y), (10, 22, Y), (23, 30, X)]
    store.write([record("a", text, X, units), record("b", "x", Y, [(0, 1, Y)])])
    for mode, query, sentence in (
        ("hybrid", "apple", "An apple."),
        ("dense", "apple", "A plum."),
        ("lexical", "pear", "A pear here."),
    ):
        (hit,) = search(searcher, query, k=1, mode=mode)
        assert text[slice(*hit.passages[0].sentence)] == sentence
        assert hit.passages[0].share == hit.passages[0].sentence[0] / len(text)


def test_words_of_the_title_count(store, searcher) -> None:
    store.write(
        [
            record("a pear.txt", "green tea", X, [(0, 9, X)]),
            record("b apple.txt", "green tee", X, [(0, 9, X)]),
            record("c", "an apple", Y, [(0, 8, Y)]),
        ]
    )
    found = [key for key in ids(search(searcher, "green apple")) if key != "c"]
    assert found == ["b apple.txt", "a pear.txt"]


def test_a_document_without_a_run_of_the_words_is_no_answer(store, searcher) -> None:
    text = "The treasurer of the society spoke about the garden at length."
    store.write([record("a", text, X, [(0, len(text), X)]), record("b", "An apple.", Y)])
    for query, is_answer in (("treasurer garden", True), ("submarine crews of Antarctica", False)):
        hits = search(searcher, query, k=1)
        assert [hit.is_answer for hit in hits] == [is_answer]
    assert search(searcher, "submarine", mode="dense")[0].is_answer, "vectors do not tell"


class ShortestFirst:
    """The shorter, the better; every ten characters are a window, the last the best."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def score_windows(self, query: str, documents: list[str]) -> list[WindowScores]:
        self.read += documents
        scores = []
        for text in documents:
            spans = [(start, min(start + 10, len(text))) for start in range(0, len(text), 10)]
            scores.append(WindowScores(-float(len(text)), np.arange(len(spans)), spans))
        return scores


def hit(name: str, text: str, score: float = 0.5) -> Hit:
    return Hit(Document(name, text), score, (Passage(0, 2, text[:2], score),), {"best_span": score})


def test_the_order_is_the_rerankers_and_the_passage_its_best_window() -> None:
    reports = []
    hits = [hit(f"{n}", "abcdefghijklmnopqrstuvwxyz"[: 26 - n], 1 - n / 100) for n in range(9)]
    hits.insert(0, hit("blank", " "))
    reranker = ShortestFirst()
    reranked = rerank(hits, "q", reranker, on_read=lambda read, of: reports.append((read, of)))
    assert [each.document.id for each in reranked] == [*"876543210", "blank"]
    assert " " not in reranker.read
    assert reports == [(4, 9), (8, 9), (9, 9)]
    best = reranked[0]
    assert best.score == -18
    assert best.scores == {"best_span": 0.92, "search": 0.92, "reranker": -18}
    assert [(part.start, part.end, part.text) for part in best.passages] == [(10, 18, "klmnopqr")]
    assert reranked[-1] is hits[0]


def test_no_passages_are_added_where_none_are_wanted() -> None:
    without = replace(hit("a", "x" * 35), passages=())
    (reranked,) = rerank([without], "q", ShortestFirst(), passages=0)
    assert reranked.passages == ()


def test_a_document_of_one_window_keeps_the_passage_of_the_search() -> None:
    (reranked,) = rerank([hit("a", "short")], "q", ShortestFirst())
    assert reranked.passages == hit("a", "short").passages


def test_a_reranker_reads_the_candidates(store, searcher) -> None:
    fruit(store)
    for k, candidates, read in ((1, 2, 2), (3, 1, 3), (1, 50, 4)):
        reranker = ShortestFirst()
        hits = search(
            searcher, "apple", k=k, reranker=reranker, candidates=candidates, mode="dense"
        )
        assert (len(hits), len(reranker.read)) == (k, read)
        assert hits[0].document.text == min(reranker.read, key=len)
    with pytest.raises(ConfigError, match="blank"):
        search(searcher, '""', mode="dense", reranker=ShortestFirst())


def test_a_ranking_by_vectors_needs_a_vector(store, searcher) -> None:
    with pytest.raises(ConfigError, match="needs the question as a vector"):
        search(searcher, "apple", vector=None)


def test_an_empty_store_has_no_answer(store, searcher) -> None:
    for mode in RANKINGS:
        assert search(searcher, "apple", mode=mode) == []
        assert search(searcher, "apple", mode=mode, where={"year": 2019}) == []


def test_threads_load_a_generation_once(store, searcher, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.search.searcher._turns", nullcontext())
    fruit(store)
    expected = ids(search(searcher, "apple"))
    store.write([record("four", "ab", Y)])
    store.read.clear()
    store.looks = threading.Semaphore(0)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ids(search(searcher, "apple"))))
        for _ in range(8)
    ]
    with searcher._lock:
        for thread in threads:
            thread.start()
        for _ in threads:
            store.looks.acquire()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 8
    assert store.read.count("vectors") == 1
