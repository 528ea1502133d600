"""Score the found documents of each query, and compare two ways to find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytrec_eval
from numpy.typing import NDArray

RESAMPLES = 2000

Found = Mapping[str, Mapping[str, float]]
"""The scores of documents by query."""


def ndcg_by_query(qrels: Mapping[str, Mapping[str, int]], found: Found, k: int) -> dict[str, float]:
    """Return nDCG@k of each query, by the library and with the settings of mteb.

    Args:
        qrels: By query, the grade of each judged document.
        found: By query, the score of each document.
        k: How many documents count.
    """
    evaluator = pytrec_eval.RelevanceEvaluator(
        {query: dict(grades) for query, grades in qrels.items()}, {f"ndcg_cut.{k}"}
    )
    scores = evaluator.evaluate({query: dict(row) for query, row in found.items()})
    return {query: float(row[f"ndcg_cut_{k}"]) for query, row in scores.items()}


def margin(
    first: Sequence[float] | NDArray[np.float64],
    second: Sequence[float] | NDArray[np.float64],
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return how much better the first is, with a paired bootstrap interval over the queries.

    Args:
        first: The score of each query, found one way.
        second: The scores of the same queries, found another way.
        seed: Of the resampling.

    Returns:
        The mean difference, and the ends of its 95% interval.
    """
    difference = np.asarray(first) - np.asarray(second)
    draws = np.random.default_rng(seed).integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)
