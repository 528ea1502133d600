"""Scores of arrays, by hand; `test_query.py` compares whole searches with loops."""

from __future__ import annotations

import numpy as np
import pytest

from longembed_index.lexical.protocol import WordScores
from longembed_index.search.scores import (
    best_first,
    best_in_segments,
    dense_scores,
    hybrid_scores,
    lexical_scores,
)

NAN = np.nan


def test_equal_scores_are_in_the_order_of_their_rows() -> None:
    totals = np.array([0.5, 0.7, 0.5 + 1e-8, NAN, 0.7 - 1e-8, 0.1])
    assert best_first(totals).tolist() == [1, 4, 0, 2, 5]
    for most in range(7):
        assert best_first(totals, most).tolist() == [1, 4, 0, 2, 5][:most]
    assert best_first(np.array([])).tolist() == []


def test_a_document_without_spans_is_ranked_by_its_vector() -> None:
    scores = dense_scores(np.array([0.2, 0.4]), np.array([0.6, NAN]))
    assert scores.totals == pytest.approx([0.4, 0.4])
    assert scores.parts_of(0) == pytest.approx({"document_vector": 0.2, "best_span": 0.6})
    assert scores.parts_of(1) == pytest.approx({"document_vector": 0.4})


def test_words_are_shares_of_the_highest() -> None:
    scores = lexical_scores(["a", "b", "c"], {"a": WordScores(2, 1), "b": WordScores(1, 4)})
    assert scores.totals == pytest.approx([(1 + 0.25) / 2, (0.5 + 1) / 2, 0])
    assert scores.parts_of(1) == {"document_words": 0.5, "best_passage_words": 1.0}
    assert lexical_scores(["a"], {}).totals.tolist() == [0]
    assert lexical_scores([], {}).totals.tolist() == []


def test_both_together_are_weighted() -> None:
    dense = dense_scores(np.array([0.5, NAN]), np.array([0.7, NAN]))
    lexical = lexical_scores(["a", "b"], {"a": WordScores(3, 3)})
    scores = hybrid_scores(dense, lexical, 0.25)
    assert scores.totals[0] == pytest.approx(0.25 * 0.6 + 0.75)
    assert np.isnan(scores.totals[1]), "it has no vector"
    assert scores.parts_of(0).keys() == {
        "document_vector",
        "best_span",
        "document_words",
        "best_passage_words",
    }


def test_the_best_of_each_segment() -> None:
    scores = np.array([1.0, 3, 2, -5, 4, 0])
    assert best_in_segments(scores, np.array([0, 3, 4])).tolist() == [3, -5, 4]
    assert best_in_segments(scores[:0], np.array([], dtype=np.int64)).tolist() == []
