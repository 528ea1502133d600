"""Choose the weight of vectors beside words by the user's own questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longembed_bench.data import RetrievalData
from longembed_bench.lexical import LexicalScorer
from longembed_bench.metrics import EASY, QueryScores, margin, ndcg_by_query
from longembed_index.search.ranking import WEIGHT, Mode, Ranking

WEIGHTS = tuple(round(0.1 * tenths, 1) for tenths in range(11))
"""The weights of the vectors to try: 0 is words alone, 1 vectors alone."""


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
    def is_clear(self) -> bool:
        """Whether the best weight is significantly better than the default."""
        return self.margin[1] > 0

    @property
    def is_too_easy(self) -> bool:
        """Whether even the worst weight finds nearly everything, and none is clearly better."""
        return not self.is_clear and min(self.scores.values()) >= EASY

    @property
    def ranking(self) -> Ranking:
        """The best weight if it is significantly better than the default; or else the default."""
        weight = self.best if self.is_clear else WEIGHT
        modes: dict[float, Mode] = {0.0: "lexical", 1.0: "dense"}
        return Ranking(mode=modes.get(weight, "hybrid"), weight=weight)


def try_weights(data: RetrievalData, dense: QueryScores, seed: int = 0) -> Weights:
    """Score words beside vectors at every weight."""
    lexical = LexicalScorer(list(data.documents.values()))
    words = {query: lexical.score(text) for query, text in data.queries.items()}

    def ndcg(weight: float) -> list[float]:
        ranking = {}
        for query in data.queries:
            vectors = np.array([dense[query][document] for document in data.documents])
            scores = (1 - weight) * words[query] + weight * vectors
            ranking[query] = dict(zip(data.documents, scores.tolist(), strict=True))
        by_query = ndcg_by_query(data.qrels, ranking, 10)
        return [by_query[query] for query in data.queries]

    by_weight = {weight: np.array(ndcg(weight)) for weight in WEIGHTS}
    best = max(WEIGHTS, key=lambda weight: by_weight[weight][::2].mean())
    return Weights(
        {weight: float(scores.mean()) for weight, scores in by_weight.items()},
        best,
        margin(by_weight[best][1::2], by_weight[WEIGHT][1::2], seed),
    )
