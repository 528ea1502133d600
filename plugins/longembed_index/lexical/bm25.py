"""BM25 over counts: Robertson and Zaragoza 2009, section 3.4, with the idf of Lucene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

K1, B = 1.5, 0.75
"""As bm25s has them by default, and the BM25 lines of docs/RESULTS.md."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def idf(having: Floats, count: int) -> Floats:
    """Inverse document frequency, never negative: ln(1 + (N - n + 0.5) / (n + 0.5)).

    Args:
        having: n, how many texts have each term, shape (terms,).
        count: N, how many texts there are.
    """
    return np.log1p((count - having + 0.5) / (having + 0.5))


def bm25(
    texts: Integers, terms: Integers, lengths: Floats, average: float, weights: Floats
) -> Floats:
    """Scores of texts, from where the query's terms occur in them.

    Args:
        texts: The text that each occurrence is in, shape (occurrences,).
        terms: The term that it is of, likewise.
        lengths: Terms of each text, stop words not counted, shape (texts,).
        average: Of the lengths, over all texts that there are.
        weights: idf of each term, times how often the query has it, shape (terms,).

    Returns:
        Shape (texts,).
    """
    width = max(len(weights), 1)
    pairs, counts = np.unique(texts * width + terms, return_counts=True)
    rows, columns = np.divmod(pairs, width)
    norms = K1 * (1 - B + B * lengths / max(average, 1e-9))
    parts = weights[columns] * counts / (counts + norms[rows])
    return np.bincount(rows, parts, minlength=len(lengths)).astype(np.float64)
