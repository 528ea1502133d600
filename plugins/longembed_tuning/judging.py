"""Does a map help? Judged without labels, on documents that it was not fitted on.

A passage stands in for a question: it should find its own document among the others, by the
document's vector without the window that the passage is from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longembed_tuning.whitening import unit

RESAMPLES = 2_000
CONFIDENCE = 95

Vectors = NDArray[np.floating]


@dataclass(frozen=True)
class Trial:
    """Questions with known answers, as vectors before any map.

    Attributes:
        queries: Shape (queries, width).
        answers: The document of each query.
        without: The vector of that document without the passage's window, shape (queries, width).
        documents: Shape (documents, width).
    """

    queries: Vectors
    answers: NDArray[np.int64]
    without: Vectors
    documents: Vectors


@dataclass(frozen=True)
class Judgement:
    """How much a map helps.

    Attributes:
        before: Mean nDCG@10 in percent without the map.
        after: With it.
        low: Lower end of the confidence interval of the difference.
        high: Its upper end.
        queries: How many passages were looked up.
        documents: Among how many documents.
    """

    before: float
    after: float
    low: float
    high: float
    queries: int
    documents: int

    @property
    def gains(self) -> bool:
        """Whether the difference is certain to be a gain."""
        return self.low > 0


def judge(trial: Trial, map_: Callable[[Vectors], Vectors], seed: int = 0) -> Judgement:
    """Compare a map with none, query by query.

    Args:
        trial: Of documents that the map was not fitted on.
        map_: The map; gives unit vectors.
        seed: Of the bootstrap, which draws documents, as passages of one document are not
            independent.
    """
    before = ndcg(trial, unit)
    after = ndcg(trial, map_)
    groups = [np.flatnonzero(trial.answers == answer) for answer in np.unique(trial.answers)]
    differences = np.array([(after - before)[group].mean() for group in groups])
    drawn = np.random.default_rng(seed).integers(len(groups), size=(RESAMPLES, len(groups)))
    tail = (100 - CONFIDENCE) / 2
    low, high = np.percentile(differences[drawn].mean(axis=1), [tail, 100 - tail])
    means = [np.mean([scores[group].mean() for group in groups]) for scores in (before, after)]
    return Judgement(
        before=100 * float(means[0]),
        after=100 * float(means[1]),
        low=100 * float(low),
        high=100 * float(high),
        queries=len(trial.queries),
        documents=len(trial.documents),
    )


def ndcg(trial: Trial, map_: Callable[[Vectors], Vectors]) -> Vectors:
    """nDCG@10 of each query; each has one right answer.

    Args:
        trial: The questions.
        map_: From vectors to unit vectors.

    Returns:
        Shape (queries,), from 0 to 1.
    """
    queries, own = map_(trial.queries), map_(trial.without)
    scores = queries @ map_(trial.documents).T
    right = np.einsum("qd,qd->q", queries, own)
    scores[np.arange(len(queries)), trial.answers] = -np.inf
    ranks = (scores >= right[:, None]).sum(axis=1)
    return np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)


def held_out(count: int, share: float, most: int, seed: int) -> Sequence[int]:
    """Which of so many documents are kept for the judgement.

    Args:
        count: Documents.
        share: Of them.
        most: The most.
        seed: Of the draw.
    """
    number = min(most, round(share * count))
    return sorted(np.random.default_rng(seed).permutation(count)[:number].tolist())
