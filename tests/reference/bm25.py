"""BM25 in loops, from Robertson and Zaragoza 2009 with the idf of Lucene."""

from __future__ import annotations

import math
from collections.abc import Sequence


def bm25(
    query: Sequence[str], texts: Sequence[Sequence[str]], k1: float = 1.5, b: float = 0.75
) -> list[float]:
    """The score of each text.

    Args:
        query: Its terms; one that is there twice counts twice.
        texts: The terms of every text that there is.
        k1: How fast a repeated term stops to count.
        b: How much long texts are held back.
    """
    average = sum(len(text) for text in texts) / len(texts)
    scores = []
    for text in texts:
        score = 0.0
        for term in query:
            having = sum(term in other for other in texts)
            if not having:
                continue
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            count = text.count(term)
            score += idf * count / (count + k1 * (1 - b + b * len(text) / average))
        scores.append(score)
    return scores


def passages(text: Sequence[str], window: int, step: int) -> list[Sequence[str]]:
    """The passages of a text: windows of its terms, each beginning in the middle of the last."""
    found = [text[:window]]
    start = step
    while start + window - step < len(text):
        found.append(text[start : start + window])
        start += step
    return found
