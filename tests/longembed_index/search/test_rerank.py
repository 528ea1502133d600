"""Hits in a reranker's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from longembed_index.document import Document, Hit, Passage
from longembed_index.search.rerank import rerank
from longembed_st.base.reranking import WindowScores


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
