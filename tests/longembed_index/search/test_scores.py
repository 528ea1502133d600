"""Scores of arrays, by hand; `test_query.py` compares whole searches with loops."""

from __future__ import annotations

import numpy as np
import pytest

from longembed_index.lexical.scores import WordScores
from longembed_index.search.scores import (
    best_first,
    dense_scores,
    hybrid_scores,
    lexical_scores,
    with_best_runs,
)

NAN = np.nan


def test_equal_scores_are_in_the_order_of_their_rows() -> None:
    totals = np.array([0.5, 0.7, 0.5 + 1e-8, NAN, 0.7 - 1e-8, 0.1])
    assert best_first(totals).tolist() == [1, 4, 0, 2, 5]
    for most in range(7):
        assert best_first(totals, most).tolist() == [1, 4, 0, 2, 5][:most]
    assert best_first(np.array([])).tolist() == []


def test_words_are_shares_of_the_highest_that_there_can_be() -> None:
    given = {"a": WordScores(2, 1), "b": WordScores(1, 4)}
    scores = lexical_scores(["a", "b", "c"], given, WordScores(4, 8))
    assert scores.totals == pytest.approx([(0.5 + 0.125) / 2, (0.25 + 0.5) / 2, 0])
    assert scores.parts_of(1) == {"document_words": 0.25, "best_passage_words": 0.5}
    assert lexical_scores(["a"], {}, WordScores(0, 0)).totals.tolist() == [0]
    assert lexical_scores([], {}, WordScores(1, 1)).totals.tolist() == []


def test_both_together_are_weighted() -> None:
    dense = dense_scores(np.array([0.5, NAN]))
    lexical = lexical_scores(["a", "b"], {"a": WordScores(3, 3)}, WordScores(3, 6))
    scores = hybrid_scores(dense, lexical, 0.25)
    assert scores.totals[0] == pytest.approx(0.25 * 0.5 + 0.75 * 0.75)
    assert np.isnan(scores.totals[1]), "it has no vector"


def test_the_best_run_counts_like_the_document() -> None:
    dense = dense_scores(np.array([0.5, 0.4]))
    alone = with_best_runs(dense, np.array([NAN, NAN]), np.array([0.7, NAN]), 1.0)
    assert alone.totals == pytest.approx([0.6, 0.4]), "one has no units"
    assert alone.parts_of(1) == pytest.approx({"document_vector": 0.4})
    lexical = lexical_scores(["a", "b"], {"a": WordScores(3, 3)}, WordScores(3, 6))
    both = hybrid_scores(dense, lexical, 0.25)
    both = with_best_runs(both, np.array([0.6, NAN]), np.array([0.7, NAN]), 0.25)
    assert both.totals == pytest.approx([0.25 * 0.6 + 0.75 * 0.7, 0.25 * 0.4])
    assert both.parts_of(0).keys() == {
        "document_vector",
        "best_run",
        "document_words",
        "best_passage_words",
        "best_run_words",
    }
