"""Scores of arrays, by hand; `test_query.py` compares whole searches with loops."""

from __future__ import annotations

import numpy as np

from longembed_index.search.scores import (
    best_first,
)

NAN = np.nan


def test_equal_scores_are_in_the_order_of_their_rows() -> None:
    totals = np.array([0.5, 0.7, 0.5 + 1e-8, NAN, 0.7 - 1e-8, 0.1])
    assert best_first(totals).tolist() == [1, 4, 0, 2, 5]
    for most in range(7):
        assert best_first(totals, most).tolist() == [1, 4, 0, 2, 5][:most]
    assert best_first(np.array([])).tolist() == []
