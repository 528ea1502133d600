"""The scores of documents: of their vectors, of their words, and of both together.

All are on scales of their own, so that they can be compared across queries. Of vectors, the average
of the document's cosine and of its best run's. Of words, the average of BM25 of the document, of
its best passage and of its best run, each as a share of what a text would get that holds every term
of the query. Together they are a weighted sum of these two, never of ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from longembed_index.lexical.scores import WordScores

Floats = NDArray[np.floating[Any]]

DECIMALS = 6
"""Scores that are equal to so many decimals are equal: processors round the rest differently."""


@dataclass(frozen=True)
class Scores:
    """The scores of some documents; each array has one number a document.

    Attributes:
        totals: By which the documents are ranked; NaN for a document that is not there.
        parts: Where the totals come from, by the names of `Hit.scores`; NaN for what a document
            does not have.
    """

    totals: Floats
    parts: Mapping[str, Floats]

    def parts_of(self, row: int) -> dict[str, float]:
        """Return the parts of one document's score, as far as it has them."""
        return {
            name: float(values[row])
            for name, values in self.parts.items()
            if not np.isnan(values[row])
        }


def lexical_scores(
    ids: Sequence[str], scores: Mapping[str, WordScores], highest: WordScores
) -> Scores:
    """Return the scores by words; zeros for documents without words of the query.

    Args:
        ids: The documents.
        scores: BM25 by id.
        highest: What a text would get that holds every term of the query.
    """
    values = np.array([scores.get(document_id, (0.0, 0.0)) for document_id in ids], dtype=float)
    shares = values.reshape(-1, 2) / [highest.document or 1.0, highest.passage or 1.0]
    document, passage = shares.T
    parts = {"document_words": document, "best_passage_words": passage}
    return Scores((document + passage) / 2, parts)


def hybrid_scores(dense: Scores, lexical: Scores, weight: float) -> Scores:
    """Return the scores by vectors and words."""
    totals = weight * dense.totals + (1 - weight) * lexical.totals
    return Scores(totals, {**dense.parts, **lexical.parts})


def with_best_runs(scores: Scores, words: Floats, vectors: Floats, weight: float) -> Scores:
    """Return scores in which the best run of each document counts, too.

    Args:
        scores: By vectors, or by vectors and words.
        words: The shares of the documents' best runs by words, shape (documents,); NaN if there are
            none, and such a document is ranked by what else it has.
        vectors: The cosines of their best runs, shape (documents,).
        weight: The weight of the vectors.
    """
    parts = {**scores.parts, "best_run_words": words, "best_run": vectors}
    totals = weight * _mean(parts, ("document_vector", "best_run"))
    if "document_words" in parts:
        of_words = ("document_words", "best_passage_words", "best_run_words")
        totals = totals + (1 - weight) * _mean(parts, of_words)
    return Scores(totals, parts)


def _mean(parts: Mapping[str, Floats], names: Sequence[str]) -> Floats:
    """Return the mean of those parts that a document has."""
    values = np.stack([parts[name] for name in names])
    having = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(having, values, 0).sum(axis=0) / having.sum(axis=0))


def best_first(totals: Floats, most: int | None = None) -> NDArray[np.intp]:
    """Return the rows of the highest totals, best first; equal ones by row, NaN not at all.

    Args:
        totals: Shape (documents,).
        most: How many; all without it.
    """
    rounded = np.round(totals, DECIMALS)
    rows = np.flatnonzero(~np.isnan(rounded))
    if most and most < len(rows):
        lowest = np.partition(rounded[rows], len(rows) - most)[len(rows) - most]
        rows = rows[rounded[rows] >= lowest]
    order = np.argsort(-rounded[rows], kind="stable")
    return rows[order][:most]
