"""The scores of documents: of their vectors, of their words, and of both together.

Of vectors, the average of the document's cosine and of its best span's. Of words, the average of
BM25 of the document and of its best passage, each as a share of the highest that any document has
for the query. Together they are a weighted sum of these two, never of ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from longembed_index.lexical.protocol import WordScores

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


def dense_scores(document: Floats, best_span: Floats) -> Scores:
    """Return the scores by vectors.

    Args:
        document: Cosines of the documents' vectors, shape (documents,).
        best_span: Cosines of their best spans, shape (documents,); NaN for a document without
            spans, which is ranked by its vector alone.
    """
    totals = np.where(np.isnan(best_span), document, (document + best_span) / 2)
    return Scores(totals, {"document_vector": document, "best_span": best_span})


def lexical_scores(ids: Sequence[str], scores: Mapping[str, WordScores]) -> Scores:
    """Return the scores by words; zeros for documents without words of the query.

    Args:
        ids: The documents.
        scores: BM25 by id; shares are of the highest among all of these.
    """
    values = np.array([scores.get(document_id, (0.0, 0.0)) for document_id in ids], dtype=float)
    shares = values.reshape(-1, 2) / [
        max((score.document for score in scores.values()), default=0.0) or 1.0,
        max((score.passage for score in scores.values()), default=0.0) or 1.0,
    ]
    document, passage = shares.T
    parts = {"document_words": document, "best_passage_words": passage}
    return Scores((document + passage) / 2, parts)


def hybrid_scores(dense: Scores, lexical: Scores, weight: float) -> Scores:
    """Return the scores by vectors and words.

    Args:
        dense: By vectors.
        lexical: By words, of the same documents.
        weight: Of the vectors, from 0 to 1; the words have the rest.
    """
    totals = weight * dense.totals + (1 - weight) * lexical.totals
    return Scores(totals, {**dense.parts, **lexical.parts})


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


def best_in_segments(scores: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return the highest score of each segment.

    Args:
        scores: Shape (scores,).
        starts: The first score of each segment, ascending; no segment is empty.
    """
    return np.maximum.reduceat(scores, starts) if len(starts) else scores[:0]
