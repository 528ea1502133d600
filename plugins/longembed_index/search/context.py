"""The passages of several documents that fill a budget, ready for a prompt."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from longembed_index.document import Citation, Context, Document
from longembed_index.documents.parsed import PAGE_END
from longembed_index.documents.places import place_in
from longembed_index.documents.sentences import words_in
from longembed_index.search.passages import joined_runs, passage_of
from longembed_index.search.runs import RUN_WORDS, Around, RunScores
from longembed_index.search.scores import DECIMALS, Floats, best_first
from longembed_st.errors import ConfigError

WORDS = 600
"""The default budget of a context."""

DOCUMENTS = 30
"""The number of best documents whose passages compete."""

DOCUMENT_WEIGHT = 0.5
"""Weight of the document's score, which is added to the score of a run."""

TRANSCRIPT_AROUND = Around(800, 2 / 3)
"""The text around a run of a transcript, which shows whether the answer is discussed there."""

TRANSCRIPT_VECTORS = 2
"""By what the weight of the vectors is multiplied in transcripts."""

TRANSCRIPT_SCALE = 2 / 3
"""By what scores in transcripts are multiplied: 800 words have more of a question's than 40."""

_RUNS = 40
"""The most runs, approximately, in a context: larger budgets are filled with longer runs."""

_MISSES = 8
"""Stop after this number of runs that did not fit."""

_LEAST_PART = 12
"""Words: the beginning of a run that does not fit is added if it has so many."""


@dataclass(frozen=True)
class Measure:
    """A budget of words or tokens, and how they are counted.

    Attributes:
        budget: The largest number of words or tokens.
        count: Returns the number of words or tokens of a text.
    """

    budget: int
    count: Callable[[str], int]

    def holds(self, text: str) -> bool:
        """Return whether a text fits into the budget."""
        return self.count(text) <= self.budget


def measure_of(
    max_words: int | None, max_tokens: int | None, count_tokens: Callable[[str], int] | None
) -> Measure:
    """Return the budget that a caller asks for.

    Args:
        max_words: The largest number of words.
        max_tokens: The largest number of tokens, instead of `max_words`.
        count_tokens: Returns the number of tokens of a text; needed with `max_tokens`.

    Raises:
        ConfigError: If both budgets are given or neither, if the budget is not positive, or if
            `count_tokens` is missing.
    """
    if (max_words is None) == (max_tokens is None):
        raise ConfigError("give either max_words or max_tokens, and not both")
    count: Callable[[str], int]
    if max_tokens is None:
        most, count, name = max_words or 0, words_in, "max_words"
    elif count_tokens is None:
        raise ConfigError(
            "max_tokens needs count_tokens, a function that returns the number of tokens of a "
            "text, for instance lambda text: len(tokenizer.encode(text))"
        )
    else:
        most, count, name = max_tokens, count_tokens, "max_tokens"
    if most < 1:
        raise ConfigError(f"{name} must be at least 1, not {most}")
    return Measure(most, count)


Candidate = tuple[Document, RunScores, float]
"""A document, the scores of its runs, and its own score."""


def fill(candidates: Sequence[Candidate], measure: Measure) -> Context:
    """Choose passages until a budget is full.

    Returns:
        The context. The document with the best run is first, and the passages of a document are in
        the order of its text.
    """
    selection = _Selection(candidates, measure)
    runs = _runs_best_first(candidates, measure.budget)
    selection.add_all(runs)
    if runs and not selection.chosen:
        selection.add_beginning(*runs[0])
    text = selection.text()
    return Context(
        text,
        tuple(selection.citations()),
        measure.count(text),
        any(scores.is_answer for _, scores, _ in candidates),
    )


def _runs_best_first(candidates: Sequence[Candidate], budget: int) -> list[tuple[int, int, int]]:
    """Return the index of a document, the first sentence and the one after the last of each run."""
    runs: list[tuple[float, int, int, int]] = []
    for number, (_, scores, document_score) in enumerate(candidates):
        words, of_runs = _scored_runs(scores, budget)
        totals = np.round(of_runs + DOCUMENT_WEIGHT * document_score, DECIMALS)
        ends = scores.sentences.runs(words).ends
        runs += [
            (-float(totals[first]), number, int(first), int(ends[first]))
            for first in best_first(totals, 2 * _RUNS)
        ]
    return [run[1:] for run in sorted(runs)]


def _scored_runs(scores: RunScores, budget: int) -> tuple[int, Floats]:
    """Return the length, in words, of a document's runs for a budget, and their scores."""
    words = max(RUN_WORDS, budget // _RUNS)
    if not scores.sentences.is_transcript:
        return words, scores.runs(words, None)
    words = max(words, min(80 + budget // 5, budget * 3 // 4, 400))
    of_runs = scores.runs(words, TRANSCRIPT_AROUND, TRANSCRIPT_VECTORS)
    return words, TRANSCRIPT_SCALE * of_runs


class _Selection:
    """The chosen sentences of each document; the documents are in the order of their first run."""

    def __init__(self, candidates: Sequence[Candidate], measure: Measure) -> None:
        self._candidates, self._measure = candidates, measure
        self.chosen: dict[int, list[int]] = {}
        self._stop: int | None = None
        self._best: dict[tuple[int, int, int], int] = {}
        self._headers: dict[tuple[int, int], str] = {}

    def add_all(self, runs: Iterable[tuple[int, int, int]]) -> None:
        """Add runs until several of them did not fit.

        Args:
            runs: The index of a document, the first sentence and the one after the last of each.
        """
        misses = 0
        for number, first, end in runs:
            if misses == _MISSES:
                break
            misses += not self._add(number, range(first, end))

    def _add(self, number: int, rows: range) -> bool:
        """Add as many sentences of a run as fit, and return whether all of them do.

        A few words of its beginning say nothing, and are not added.
        Headings and tables of contents are left out; the heading of a passage is before it.
        """
        before = self.chosen.get(number, [])
        sentences = self._candidates[number][1].sentences
        new = [row for row in rows if sentences.is_content[row] and row not in before]
        words = np.cumsum([sentences.words[row + 1] - sentences.words[row] for row in new])
        for count in range(len(new), 0, -1):
            if count < len(new) and words[count - 1] < _LEAST_PART:
                break
            self.chosen[number] = sorted([*before, *new[:count]])
            if self._measure.holds(self.text()):
                return count == len(new)
        self.chosen[number] = before
        if not before:
            del self.chosen[number]
        return not new

    def add_beginning(self, number: int, first: int, end: int) -> None:
        """Add the beginning of a run, none of whose sentences fits, cut after a word."""
        document, scores, _ = self._candidates[number]
        row = first + int(np.argmax(scores.sentences.is_content[first:end]))
        start, end = scores.sentences.ranges[row].tolist()
        stops = [start + word.end() for word in re.finditer(r"\S+", document.text[start:end])]
        if len(stops) == 1:
            stops = list(range(start + 1, end + 1))
        self.chosen[number] = [row]

        def exceeds(stop: int) -> bool:
            self._stop = stop
            return not self._measure.holds(self.text())

        count = bisect_left(stops, True, key=exceeds)
        if count:
            self._stop = stops[count - 1]
        else:
            self.chosen.clear()

    def text(self) -> str:
        """Return the chosen passages as one text."""
        lines: list[str] = []
        shown = None
        for citation, (number, first, end) in enumerate(self._passages(), 1):
            document = self._candidates[number][0]
            if number != shown:
                lines += [*([""] if lines else []), document.title]
                shown = number
            start, stop = self._characters(number, first, end)
            header = self._header(number, first, end)
            lines.append(f"[{citation}]{header} {document.text[start:stop]}")
        return "\n".join(lines).replace(PAGE_END, "\n")

    def citations(self) -> list[Citation]:
        """Return the chosen passages, numbered as in the text."""
        citations: list[Citation] = []
        for number, first, end in self._passages():
            document, scores, document_score = self._candidates[number]
            run_score = float(scores.runs(RUN_WORDS, None)[first:end].max())
            score = run_score + DOCUMENT_WEIGHT * document_score
            passage = passage_of(document, scores, first, end, score)
            start, stop = self._characters(number, first, end)
            passage = replace(passage, end=stop, text=document.text[start:stop])
            citations.append(Citation(len(citations) + 1, document.id, document.title, passage))
        return citations

    def _passages(self) -> Iterator[tuple[int, int, int]]:
        for number, rows in self.chosen.items():
            sentences = self._candidates[number][1].sentences
            for first, end in joined_runs(rows, [row + 1 for row in rows], sentences.borders):
                yield number, first, end

    def _characters(self, number: int, first: int, end: int) -> tuple[int, int]:
        ranges = self._candidates[number][1].sentences.ranges
        return int(ranges[first, 0]), self._stop or int(ranges[end - 1, 1])

    def _header(self, number: int, first: int, end: int) -> str:
        """Return the page and heading of a passage's best sentence; empty without either."""
        document, scores, _ = self._candidates[number]
        if (number, first, end) not in self._best:
            self._best[number, first, end] = scores.sentence(first, end)
        row = self._best[number, first, end]
        if (number, row) not in self._headers:
            place = place_in(document.text, int(scores.sentences.ranges[row, 0]), document.id)
            page = "" if place.page is None else f"p.{place.page}"
            parts = ", ".join(filter(None, (page, place.heading)))
            self._headers[number, row] = f" ({parts})" if parts else ""
        return self._headers[number, row]
