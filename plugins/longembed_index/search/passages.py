"""The passages of a document that answer a question, and where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from longembed_index.document import Document, Passage
from longembed_index.documents.places import place_in
from longembed_index.lexical.scores import Integers
from longembed_index.search.runs import RunScores
from longembed_index.search.scores import best_first


def best_passages(
    document: Document, scores: RunScores, most: int, words: int
) -> tuple[Passage, ...]:
    """Choose the best runs of a document's sentences that do not overlap, best first.

    Neighbouring runs are joined to one passage. Each has its best sentence and its place.
    """
    of_runs, ends = scores.runs(words), scores.sentences.runs(words).ends
    chosen: list[int] = []
    taken = np.zeros(len(ends), dtype=bool)
    for first in best_first(of_runs).tolist():
        if len(chosen) == most:
            break
        if not taken[first : ends[first]].any():
            taken[first : ends[first]] = True
            chosen.append(first)
    passages = []
    chosen.sort()
    for first, end in joined_runs(chosen, ends[chosen].tolist(), scores.sentences.borders):
        best = max(of_runs[row] for row in chosen if first <= row < end)
        passages.append(passage_of(document, scores, first, end, float(best)))
    return _in_order(passages)


def passage_of(
    document: Document, scores: RunScores, first: int, end: int, score: float
) -> Passage:
    """Return some sentences that stand in a row as a passage.

    Headings and tables of contents at its beginning and end are left out.
    """
    ranges = scores.sentences.ranges
    content = scores.sentences.content_in(first, end)
    first, end = int(content[0]), int(content[-1]) + 1
    best = ranges[scores.sentence(first, end)].tolist()
    start, stop = int(ranges[first, 0]), int(ranges[end - 1, 1])
    return _placed(document, _passage(document.text, start, stop, score), (best[0], best[1]))


def joined_windows(
    ranges: ArrayLike, scores: NDArray[np.floating[Any]], document: Document, most: int
) -> tuple[Passage, ...]:
    """Choose the best windows of a document, best first; neighbouring ones are joined.

    Args:
        ranges: Of characters, in the order of the text; they may overlap. Shape (windows, 2).
        scores: Shape (windows,).
        document: With its text.
        most: How many windows to choose.
    """
    ranges = np.asarray(ranges)
    chosen = np.sort(best_first(scores, most))
    runs = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1) if len(chosen) else []
    passages = []
    for run in runs:
        start, end = int(ranges[run[0], 0]), int(ranges[run[-1], 1])
        passages.append(
            _placed(document, _passage(document.text, start, end, float(scores[run].max())))
        )
    return _in_order(passages)


def joined_runs(
    firsts: Sequence[int], ends: Sequence[int], borders: Integers
) -> Iterator[tuple[int, int]]:
    """Yield runs of sentences, those that follow each other as one, but not beyond a border.

    Args:
        firsts: The first sentence of each run, ascending.
        ends: The sentence after the last of each.
        borders: Sentences with which a section begins.
    """
    start = end = None
    for first, next_end in zip(firsts, ends, strict=True):
        if first != end or first in borders:
            if start is not None and end is not None:
                yield start, end
            start = first
        end = next_end
    if start is not None and end is not None:
        yield start, end


def _in_order(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    scores = np.array([passage.score for passage in passages])
    return tuple(passages[row] for row in best_first(scores))


def _passage(text: str, start: int, end: int, score: float) -> Passage:
    return Passage(start, end, text[start:end], score)


def _placed(
    document: Document, passage: Passage, sentence: tuple[int, int] | None = None
) -> Passage:
    """Return a passage with the place of its best sentence, or else of its first visible text."""
    blank = len(passage.text) - len(passage.text.lstrip())
    position = sentence[0] if sentence else passage.start + blank
    place = place_in(document.text, position, document.id)
    return replace(
        passage, sentence=sentence, share=place.share, page=place.page, heading=place.heading
    )
