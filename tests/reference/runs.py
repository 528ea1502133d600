"""Runs of sentences in loops: every word of a text is read for every run."""

from __future__ import annotations

import math
from collections.abc import Sequence

K1, B = 1.5, 0.75


def run_end(words: Sequence[int], borders: Sequence[int], first: int, length: int) -> int:
    """Return the sentence after the last of a run, whose number of words is nearest to a length."""
    end, total = first + 1, words[first]
    while end < len(words) and end not in borders:
        if abs(total + words[end] - length) >= abs(total - length):
            break
        total += words[end]
        end += 1
    return end


def around(
    words: Sequence[int], borders: Sequence[int], first: int, length: int, around_words: int
) -> int:
    """Return the sentence at which the text around a run begins."""
    end = run_end(words, borders, first, length)
    middle = (sum(words[:first]) + sum(words[:end])) / 2
    begin = next(
        (n for n in range(len(words) + 1) if sum(words[:n]) >= middle - around_words / 2), 0
    )
    last = next(n for n in range(len(words) + 1) if sum(words[:n]) >= sum(words) - around_words)
    return min(begin, last, first)


def headings_above(levels: Sequence[int], row: int) -> list[int]:
    """Return the headings above a sentence, the nearest of each level above the last one."""
    above: list[int] = []
    lowest = levels[row] or 9
    for heading in range(row - 1, -1, -1):
        if 0 < levels[heading] < lowest:
            above.append(heading)
            lowest = levels[heading]
    return above


def share(
    query: Sequence[str],
    terms: Sequence[str],
    length: float,
    idf: dict[str, float],
    unknown: float,
    above: Sequence[str] = (),
    title: Sequence[str] = (),
) -> float:
    """BM25 of some terms as a share of what a text gets that holds every term of the query.

    The terms of the headings above count half, those of the title whole.
    """
    score = 0.0
    for term in query:
        count = terms.count(term) + above.count(term) / 2 + title.count(term)
        norm = K1 * (1 - B + B * len(terms) / length)
        score += idf.get(term, 0.0) * count / (count + norm)
    return score / sum(idf.get(term, unknown) for term in query)


def cosine(
    vectors: Sequence[Sequence[float]], counts: Sequence[int], query: Sequence[float]
) -> float:
    """The cosine of a query and the mean of all tokens of some units."""
    total = [
        sum(count * vector[place] for vector, count in zip(vectors, counts, strict=True))
        for place in range(len(query))
    ]
    return sum(x * y for x, y in zip(total, query, strict=True)) / math.dist(
        total, [0] * len(query)
    )
