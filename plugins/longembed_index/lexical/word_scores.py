"""From the terms of documents to their BM25: of each as a whole, and of its passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longembed_index.bm25 import bm25
from longembed_index.word_index import WordScores

WINDOW = 250
"""Terms of a passage, about 350 words; the next one begins in its middle."""
STEP = WINDOW // 2

Numbers = NDArray[np.int32]


@dataclass(frozen=True)
class Statistics:
    """What the scores of one query need of the collection.

    Attributes:
        numbers: Of the query's terms that some document has, ascending, shape (terms,).
        documents: Weights of the terms among documents, times how often the query has them, shape
            (terms,).
        passages: Among passages, shape (terms,).
        document_length: The average.
        passage_length: Likewise.
    """

    numbers: Numbers
    documents: NDArray[np.float64]
    passages: NDArray[np.float64]
    document_length: float
    passage_length: float


def window_count(length: Any) -> Any:
    """How many passages a text of so many terms has, one at least; an array for an array."""
    return 1 + np.maximum(0, -((WINDOW - length) // STEP))


def window_lengths(length: int) -> NDArray[np.float64]:
    """The terms of each passage of a text of so many terms, shape (passages,)."""
    firsts = STEP * np.arange(window_count(length))
    return np.minimum(WINDOW, length - firsts).astype(np.float64)


def window_ranges(starts: Numbers, characters: int) -> list[tuple[int, int]]:
    """The passages of a text as half-open ranges of its characters, each from the middle of one.

    Args:
        starts: The first character of each term, shape (terms,).
        characters: Of the text.
    """
    firsts = range(0, STEP * window_count(len(starts)), STEP)
    ends = [first + WINDOW for first in firsts]
    return [
        (
            int(starts[first]) if first else 0,
            int(starts[end]) if end < len(starts) else characters,
        )
        for first, end in zip(firsts, ends, strict=True)
    ]


def windows_of(places: NDArray[np.int64], counts: Any) -> tuple[NDArray[np.int64], ...]:
    """The passages that terms at some places are in: two each, but at the ends.

    Args:
        places: Of the terms in their texts, shape (occurrences,).
        counts: Passages of the text of each, shape (occurrences,), or of all.

    Returns:
        Passages, and of each the index into `places`.
    """
    windows = np.concatenate([places // STEP, places // STEP - 1])
    indices = np.tile(np.arange(len(places)), 2)
    inside = (windows >= 0) & (windows < np.tile(np.broadcast_to(counts, places.shape), 2))
    return windows[inside], indices[inside]


def scores_of(
    statistics: Statistics, texts: Sequence[tuple[str, Numbers]]
) -> dict[str, WordScores]:
    """The scores of documents, from all of their terms.

    Args:
        statistics: Of the collection.
        texts: Id and terms of each.
    """
    if not texts:
        return {}
    lengths = np.array([len(terms) for _, terms in texts])
    found, terms = occurrences(np.concatenate([terms for _, terms in texts]), statistics.numbers)
    owners = np.repeat(np.arange(len(texts)), lengths)[found]
    whole = bm25(
        owners,
        terms,
        lengths.astype(np.float64),
        statistics.document_length,
        statistics.documents,
    )
    counts = window_count(lengths)
    firsts = np.cumsum(counts) - counts
    places = found - (np.cumsum(lengths) - lengths)[owners]
    windows, repeated = windows_of(places, counts[owners])
    parts = bm25(
        windows + firsts[owners[repeated]],
        terms[repeated],
        np.concatenate([window_lengths(length) for length in lengths.tolist()]),
        statistics.passage_length,
        statistics.passages,
    )
    best = np.maximum.reduceat(parts, firsts)
    return {
        key: WordScores(float(of_all), float(of_best))
        for (key, _), of_all, of_best in zip(texts, whole, best, strict=True)
    }


def range_scores_of(
    statistics: Statistics, terms: Numbers, starts: Numbers, ranges: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """The scores of parts of a text, as if they were passages.

    Args:
        statistics: Of the collection.
        terms: Of the text, shape (terms,).
        starts: The first character of each, likewise.
        ranges: Half-open ranges of its characters.

    Returns:
        Shape (ranges,).
    """
    places, columns = occurrences(terms, statistics.numbers)
    bounds = np.searchsorted(starts, np.array(ranges, dtype=np.int64).reshape(-1, 2))
    inside = [np.searchsorted(places, bound) for bound in bounds]
    rows = [np.full(last - first, row) for row, (first, last) in enumerate(inside)]
    return bm25(
        np.concatenate([np.zeros(0, dtype=np.int64), *rows]),
        np.concatenate([columns[:0], *(columns[first:last] for first, last in inside)]),
        np.diff(bounds, axis=1)[:, 0].astype(np.float64),
        statistics.passage_length,
        statistics.passages,
    )


def occurrences(terms: Numbers, wanted: Numbers) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where wanted terms stand in a text, and which of them each is.

    Args:
        terms: Of the text, shape (terms,).
        wanted: Ascending.
    """
    if not len(wanted):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    places = np.flatnonzero(np.isin(terms, wanted))
    return places, np.searchsorted(wanted, terms[places])
