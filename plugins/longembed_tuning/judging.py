"""Judge without labels whether a map helps, by documents that it was not fitted on.

A passage stands in for a question: it should find its own document among the others, by the
document's vector without the window that the passage is from. The map is fitted without that
document, by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 4
RESAMPLES = 2_000

Vectors = NDArray[np.floating]
Map = Callable[[Vectors], Vectors]


@dataclass(frozen=True)
class Trial:
    """Questions with known answers, as vectors of one model before any map.

    Attributes:
        queries: Shape (queries, width).
        answers: The document of each query; it is in the fold of its number modulo `FOLDS`.
        without: The vector of that document without the passage's window, shape (queries, width).
        documents: Shape (documents, width).
    """

    queries: Vectors
    answers: NDArray[np.int64]
    without: Vectors
    documents: Vectors


@dataclass(frozen=True)
class Judgement:
    """How much better vectors are after a change than before it.

    Attributes:
        before: Mean nDCG@10 before, in percent.
        after: Mean nDCG@10 after, in percent.
        low: Lower end of the 95% interval of the difference.
        high: Upper end of it.
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
        """Whether the difference is a gain beyond doubt."""
        return self.low > 0


def compare(before: Vectors, after: Vectors, trial: Trial, seed: int = 0) -> Judgement:
    """Compare vectors before and after a change, query by query.

    Args:
        before: nDCG@10 of each query before, from 0 to 1, shape (queries,).
        after: nDCG@10 of each query after, shape (queries,).
        trial: The questions.
        seed: The seed of the bootstrap. It draws documents, as passages of one document are not
            independent.
    """
    groups = [np.flatnonzero(trial.answers == answer) for answer in np.unique(trial.answers)]
    differences = np.array([(after - before)[group].mean() for group in groups])
    draws = np.random.default_rng(seed).integers(len(groups), size=(RESAMPLES, len(groups)))
    low, high = np.percentile(differences[draws].mean(axis=1), [2.5, 97.5])
    means = [np.mean([scores[group].mean() for group in groups]) for scores in (before, after)]
    return Judgement(
        before=100 * float(means[0]),
        after=100 * float(means[1]),
        low=100 * float(low),
        high=100 * float(high),
        queries=len(trial.queries),
        documents=len(trial.documents),
    )


def ndcg(trial: Trial, maps: Sequence[Map]) -> Vectors:
    """Return nDCG@10 of each query; each has one right answer.

    Args:
        trial: The questions.
        maps: From vectors to unit vectors; one for the answers in each fold, fitted without it.

    Returns:
        Shape (queries,), from 0 to 1.
    """
    gains = np.zeros(len(trial.queries))
    for fold, map_ in enumerate(maps):
        asked = np.flatnonzero(trial.answers % FOLDS == fold)
        if not len(asked):
            continue
        queries, own = map_(trial.queries[asked]), map_(trial.without[asked])
        scores = queries @ map_(trial.documents).T
        right = np.einsum("qd,qd->q", queries, own)
        scores[np.arange(len(asked)), trial.answers[asked]] = -np.inf
        ranks = (scores >= right[:, None]).sum(axis=1)
        gains[asked] = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0.0)
    return gains


def draw_documents(count: int, most: int, seed: int) -> list[int]:
    """Draw the numbers of the documents that passages are looked up in, in order."""
    return sorted(np.random.default_rng(seed).permutation(count)[:most].tolist())
