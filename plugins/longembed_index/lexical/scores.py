"""BM25 of documents and of their passages, from the terms of each.

The formula is that of Robertson and Zaragoza 2009, section 3.4, with the idf of Lucene.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

K1, B = 1.5, 0.75
"""The defaults of bm25s, which the BM25 lines of docs/RESULTS.md were made with."""

WINDOW = 350
"""Terms of a passage, stop words included."""
STEP = WINDOW // 2
"""Terms from the beginning of a passage to that of the next."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Terms = NDArray[np.int32]
"""A text as the numbers of its terms, in order, shape (terms,)."""


class WordScores(NamedTuple):
    """The BM25 scores of a document: of all of it, and of its best passage."""

    document: float
    passage: float


@dataclass(frozen=True)
class QueryWeights:
    """What the scores of one query need to know of the collection.

    Attributes:
        numbers: The terms of the query that the collection has, ascending, shape (terms,).
        document_weights: The idf of each among documents, times its count in the query, shape
            (terms,).
        passage_weights: The same among passages, shape (terms,).
        document_length: The average number of terms in a document.
        passage_length: The average number of terms in a passage.
        highest: What a text comes near to that holds every term of the query many times, those that
            no document has among them.
    """

    numbers: Terms
    document_weights: Floats
    passage_weights: Floats
    document_length: float
    passage_length: float
    highest: WordScores


def distinct(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return each number once, ascending; quicker than `np.unique`, which hashes."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]


class TermPlaces(NamedTuple):
    """Where the terms of a query stand in one text.

    Attributes:
        terms: Which term of the query it is, as an index into its weights, shape (occurrences,).
        characters: Where it begins in the text, ascending, shape (occurrences,).
        starts: Where each term of the text begins, of the query or not, ascending, shape (terms,).
    """

    terms: Integers
    characters: Integers
    starts: Terms


def idf(containing: Floats, count: int) -> Floats:
    """Return inverse document frequencies, never negative: ln(1 + (N - n + 0.5) / (n + 0.5)).

    Args:
        containing: n, the number of texts that contain each term, shape (terms,).
        count: N, the number of all texts.
    """
    return np.log1p((count - containing + 0.5) / (containing + 0.5))


def length_norms(lengths: Floats, average: float) -> Floats:
    """Return what BM25 adds to a term's count in its denominator, shape (texts,).

    Args:
        lengths: The number of terms in each text, shape (texts,).
        average: The average over all texts of the collection.
    """
    return K1 * (1 - B + B * lengths / max(average, 1e-9))


def bm25(
    texts: Integers, terms: Integers, lengths: Floats, average: float, weights: Floats
) -> Floats:
    """Return the scores of texts, from the places where the query's terms occur in them.

    Args:
        texts: The text of each occurrence, shape (occurrences,).
        terms: The term of each occurrence, as an index into `weights`, shape (occurrences,).
        lengths: The number of terms in each text, shape (texts,).
        average: The average over all texts of the collection.
        weights: The idf of each term, times its count in the query, shape (terms,).

    Returns:
        Shape (texts,).
    """
    width = max(len(weights), 1)
    pairs, counts = np.unique(texts * width + terms, return_counts=True)
    rows, columns = np.divmod(pairs, width)
    parts = weights[columns] * counts / (counts + length_norms(lengths, average)[rows])
    return np.bincount(rows, parts, minlength=len(lengths)).astype(np.float64)


def window_count(length: Any) -> Any:
    """Return the number of passages of a text with so many terms, at least 1; also of an array."""
    return 1 + np.maximum(0, -((WINDOW - length) // STEP))


def window_lengths(length: int) -> Floats:
    """Return the number of terms in each passage of a text with so many terms."""
    firsts = STEP * np.arange(window_count(length))
    return np.minimum(WINDOW, length - firsts).astype(np.float64)


def windows_of(
    lengths: Integers, texts: Integers, positions: Integers
) -> tuple[Integers, Integers, Floats]:
    """Return the passages of texts that some of their terms belong to.

    Args:
        lengths: The number of terms in each text, shape (texts,).
        texts: The text of each occurrence of a term, shape (occurrences,).
        positions: Which term of the text it is, counted from 0; those beyond its length are in no
            passage. Shape (occurrences,).

    Returns:
        For each passage that an occurrence belongs to, two but at the ends of a text: the passage,
        counted over all texts, and the index of the occurrence. Then the number of terms in each
        passage, shape (passages,).
    """
    counts = window_count(lengths)
    steps = positions // STEP
    windows = np.concatenate([steps, steps - 1])
    indices = np.tile(np.arange(len(positions)), 2)
    owners = texts[indices]
    inside = (windows >= 0) & (windows < counts[owners]) & (positions < lengths[texts])[indices]
    first_windows = np.cumsum(counts) - counts
    sizes = np.concatenate([window_lengths(length) for length in lengths.tolist()])
    return (first_windows[owners] + windows)[inside], indices[inside], sizes


def document_scores(
    weights: QueryWeights,
    lengths: Integers,
    texts: Integers,
    terms: Integers,
    positions: Integers,
) -> tuple[Floats, Floats]:
    """Return the scores of documents, and of the best passage of each, shapes (documents,).

    Args:
        weights: Of the query.
        lengths: The number of terms in each document, shape (documents,).
        texts: The document of each occurrence of a term of the query, shape (occurrences,).
        terms: Which term it is, as an index into `weights`, shape (occurrences,).
        positions: Which term of the document it is, shape (occurrences,).
    """
    sizes = lengths.astype(np.float64)
    whole = bm25(texts, terms, sizes, weights.document_length, weights.document_weights)
    windows, indices, sizes = windows_of(lengths, texts, positions)
    parts = bm25(windows, terms[indices], sizes, weights.passage_length, weights.passage_weights)
    counts = window_count(lengths)
    return whole, np.maximum.reduceat(parts, np.cumsum(counts) - counts)
