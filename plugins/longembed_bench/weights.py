"""How much vectors should count beside words, on the user's own questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from longembed_bench.data import RetrievalData
from longembed_bench.metrics import margin, ndcg_by_query
from longembed_index.hybrid import word_shares
from longembed_index.lexical import WordFile
from longembed_index.modes import WEIGHT, Mode, Ranking

WEIGHTS = tuple(round(0.1 * tenths, 1) for tenths in range(11))
"""Of the vectors: 0 is words alone, 1 vectors alone."""


@dataclass(frozen=True)
class Weights:
    """What a search by words and vectors finds at each weight.

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
        """The best if it is better beyond doubt, or else the default."""
        return self.best if self.margin[1] > 0 else WEIGHT

    @property
    def ranking(self) -> Ranking:
        """The same as a store may be told; without the side that does not count."""
        modes: dict[float, Mode] = {0.0: "lexical", 1.0: "dense"}
        return Ranking(mode=modes.get(self.advised, "hybrid"), weight=self.advised)


def try_weights(
    data: RetrievalData, dense: Mapping[str, Mapping[str, float]], seed: int = 0
) -> Weights:
    """Put words beside vectors at every weight.

    Args:
        data: Documents and queries; at least two.
        dense: By query, the score of each document by vectors.
        seed: Of the bootstrap.
    """
    keys = list(data.documents)
    with TemporaryDirectory(prefix="longembed-") as folder:
        words = WordFile(Path(folder), "documents")
        words.add(data.documents)
        shares = {query: word_shares(words.ask(text), keys) for query, text in data.queries.items()}

    def scores(weight: float) -> dict[str, float]:
        found = {
            query: {
                key: (1 - weight) * shares[query][key].total + weight * dense[query][key]
                for key in keys
            }
            for query in data.queries
        }
        return ndcg_by_query(data.qrels, found)

    by_weight = {weight: scores(weight) for weight in WEIGHTS}
    queries = list(data.queries)
    seen, others = queries[::2], queries[1::2]
    best = max(WEIGHTS, key=lambda weight: _mean(by_weight[weight], seen))
    return Weights(
        {weight: _mean(found, queries) for weight, found in by_weight.items()},
        best,
        margin(
            [by_weight[best][query] for query in others],
            [by_weight[WEIGHT][query] for query in others],
            seed,
        ),
    )


def _mean(scores: Mapping[str, float], queries: Sequence[str]) -> float:
    return sum(scores[query] for query in queries) / len(queries)
