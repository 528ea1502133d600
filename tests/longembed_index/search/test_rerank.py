"""Documents that were found, in a reranker's order."""

from __future__ import annotations

import json

import numpy as np
import pytest
from class_models import late_minilm
from longembed_index.finding import Finder
from longembed_index.passages import DocumentHit, Passage
from longembed_index.reranking import reranked
from longembed_index.searching import Hit

from longembed_st.base.reranking import WindowScores


class ByLength:
    """The shorter, the better; every ten characters are a window, the last the best."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score_windows(self, query, documents):
        self.asked += documents
        found = []
        for text in documents:
            spans = [(i, min(i + 10, len(text))) for i in range(0, len(text), 10)]
            found.append(WindowScores(-float(len(text)), np.arange(len(spans)), spans))
        return found


def hit(name: str, text: str, score: float = 0.5) -> DocumentHit:
    passages = [Passage(0, 2, score, text[:2])] if text else []
    return DocumentHit(Hit(score, name, name, 9, 9), score, None, passages, text)


def test_the_order_is_the_rerankers_and_the_passage_its_best_window() -> None:
    reports = []
    hits = [hit(f"{n}", "abcdefghijklmnopqrstuvwxyz"[: 26 - n], 1 - n / 100) for n in range(9)]
    hits.insert(0, hit("bare", ""))
    reranker = ByLength()
    found = reranked(hits, "q", reranker, on_read=lambda read, of: reports.append((read, of)))
    assert [one.hit.source for one in found] == [*"876543210", "bare"]
    assert "" not in reranker.asked
    assert reports == [(4, 9), (8, 9), (9, 9)]
    best = found[0]
    assert (best.hit.score, best.first_score) == (-18.0, 0.92)
    assert [(p.start, p.end, p.text) for p in best.passages] == [(10, 18, "klmnopqr")]
    assert found[-1] is hits[0]


def test_neighbouring_windows_are_one_passage_and_none_are_shown_if_none_are_wanted() -> None:
    (two,) = reranked([hit("a", "x" * 35)], "q", ByLength(), passages=2)
    assert [(p.start, p.end, p.score) for p in two.passages] == [(20, 35, 3.0)]
    (none,) = reranked([hit("a", "x" * 35)], "q", ByLength(), passages=0)
    assert len(none.passages) == 1


def test_a_document_of_one_window_keeps_the_passage_of_the_search() -> None:
    (found,) = reranked([hit("a", "short")], "q", ByLength())
    assert found.passages == hit("a", "short").passages


@pytest.fixture(scope="module")
def store(tmp_path_factory, minilm_folder):
    from integrations.answering import indexed

    return indexed(tmp_path_factory.mktemp("reranked"), minilm_folder)


def test_only_candidates_are_read(store) -> None:
    reranker = ByLength()
    finder = Finder(store)
    found, _ = finder.find("crane", 1, mode="dense", reranker=reranker, candidates=2)
    assert (len(found), len(reranker.asked)) == (1, 2)
    finder.find("crane", 3, mode="dense", reranker=reranker, candidates=1)
    assert len(reranker.asked) == 5


def test_search_reranks_with_a_model_by_name(run, store, minilm_folder) -> None:
    """By vectors, of windows of one model; the reranker finds the sentence word by word."""
    model = late_minilm(minilm_folder)
    question = "Who paid for the new crane?"
    call = ("search", question, "--store", store, "--mode", "dense", "--json")
    ended = run(*call, "--rerank", model, "--candidates", "3")
    assert ended.exit_code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found[0]["title"] == "harbour.txt"
    assert found[0]["first_score"] <= 1 < found[0]["score"]
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    (passage,) = found[0]["passages"]
    start, end = passage["sentence"]
    text = (store.parent / "docs" / "harbour.txt").read_text()
    assert text[start:end] == "The new crane was paid for by the widow of a sea captain."
    assert "read with the query" not in ended.stdout
    shown = run(*call[:-1], "--rerank", model, "-k", "1", "--candidates", "1")
    assert "found with" in shown.stdout


def test_a_model_that_does_not_rerank_is_refused_before_anything_is_read(run, store) -> None:
    ended = run("search", "q", "--store", store, "--rerank", "MODEL")
    assert ended.exit_code == 1
    assert "SentenceTransformer, which does not rerank" in " ".join(ended.stderr.split())
