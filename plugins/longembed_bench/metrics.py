"""Score a ranking of documents, and compare two rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytrec_eval
from numpy.typing import NDArray

RESAMPLES = 2000

EASY = 0.95
"""Where even the worst ranking has this nDCG, the queries do not tell rankings apart."""

QueryScores = Mapping[str, Mapping[str, float]]
"""By query, the score of each document."""


def ndcg_by_query(
    qrels: Mapping[str, Mapping[str, int]], ranking: QueryScores, k: int
) -> dict[str, float]:
    """Return nDCG@k of each query, by the library and with the settings of mteb."""
    evaluator = pytrec_eval.RelevanceEvaluator(
        {query: dict(grades) for query, grades in qrels.items()}, {f"ndcg_cut.{k}"}
    )
    scores = evaluator.evaluate({query: dict(row) for query, row in ranking.items()})
    return {query: float(row[f"ndcg_cut_{k}"]) for query, row in scores.items()}


def margin(
    first: Sequence[float] | NDArray[np.float64],
    second: Sequence[float] | NDArray[np.float64],
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return how much better the first is, with a paired bootstrap interval over the queries.

    Returns:
        The mean difference, and the ends of its 95% interval.
    """
    difference = np.asarray(first) - np.asarray(second)
    draws = np.random.default_rng(seed).integers(len(difference), size=(RESAMPLES, len(difference)))
    low, high = np.quantile(difference[draws].mean(axis=1), [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)
