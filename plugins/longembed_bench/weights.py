"""How much vectors should count beside words, on the user's own questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from longembed_bench.data import RetrievalData
from longembed_bench.index_parts import WEIGHT, LexicalScorer, Mode, Ranking
from longembed_bench.metrics import Found, margin, ndcg_by_query

WEIGHTS = tuple(round(0.1 * tenths, 1) for tenths in range(11))
"""Of the vectors: 0 is words alone, 1 vectors alone."""


@dataclass(frozen=True)
class Weights:
    """The scores of a search by words and vectors at each weight.

    Attributes:
        scores: Mean nDCG@10 by weight, from 0 to 1, over all questions.
        best: The weight with the highest score on every second question.
        margin: How much better it is than the default on the other ones, and the ends of the 95%
            interval.
    """

    scores: Mapping[float, float]
    best: float
    margin: tuple[float, float, float]

    @property
    def advised(self) -> float:
        """The best weight if it is better beyond doubt, or else the default."""
        return self.best if self.margin[1] > 0 else WEIGHT

    @property
    def ranking(self) -> Ranking:
        """The advised weight as a setting of a store."""
        modes: dict[float, Mode] = {0.0: "lexical", 1.0: "dense"}
        return Ranking(mode=modes.get(self.advised, "hybrid"), weight=self.advised)


def try_weights(data: RetrievalData, dense: Found, seed: int = 0) -> Weights:
    """Score words beside vectors at every weight.

    Args:
        data: Documents and queries; at least two.
        dense: By query, the score of each document by vectors.
        seed: Of the bootstrap.
    """
    lexical = LexicalScorer(list(data.documents.values()))
    words = {query: lexical.score(text)[0] for query, text in data.queries.items()}
    vectors = {
        query: np.array([dense[query][document] for document in data.documents])
        for query in data.queries
    }

    def ndcg(weight: float) -> dict[str, float]:
        found = {}
        for query in data.queries:
            scores = (1 - weight) * words[query] + weight * vectors[query]
            found[query] = dict(zip(data.documents, scores.tolist(), strict=True))
        return ndcg_by_query(data.qrels, found, 10)

    by_weight = {weight: ndcg(weight) for weight in WEIGHTS}
    queries = list(data.queries)
    chosen_on, others = queries[::2], queries[1::2]
    best = max(WEIGHTS, key=lambda weight: _mean(by_weight[weight], chosen_on))
    return Weights(
        {weight: _mean(scores, queries) for weight, scores in by_weight.items()},
        best,
        margin(
            [by_weight[best][query] for query in others],
            [by_weight[WEIGHT][query] for query in others],
            seed,
        ),
    )


def _mean(scores: Mapping[str, float], queries: Sequence[str]) -> float:
    return sum(scores[query] for query in queries) / len(queries)
