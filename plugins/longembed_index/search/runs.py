"""Runs of neighbouring sentences of a document, scored by words and vectors.

A run begins at each sentence. Its score may have two parts: that of the run itself, and that of the
text around it, because the text around an answer is mostly about the same subject. The score by
words is BM25 as a share of what a text with every term of the query would get. So scores of
different documents and queries can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.documents.places import HEADING
from longembed_index.documents.readers import MARKDOWN, suffix_of
from longembed_index.documents.sentences import sentence_units, word_counts
from longembed_index.errors import StoreError
from longembed_index.lexical.scores import Floats, Integers, length_norms

if TYPE_CHECKING:
    from longembed_index.document import Document, Units
    from longembed_index.lexical.scores import QueryWeights, TermPlaces

RUN_WORDS = 30
"""Words of a short run, which finds a fact (docs/PASSAGES.md)."""

PASSAGE_WORDS = 60
"""Words of a passage that is shown, and of the best run in the score of a document."""

ANSWER_WORDS = 0.12
"""The least score by words of a run that seems to answer (docs/PASSAGES.md)."""


class Around(NamedTuple):
    """How much the text around a run counts.

    Attributes:
        words: The words of this text, with the run itself.
        weight: Its weight; the run itself has the rest.
    """

    words: int
    weight: float


AROUND = Around(400, 1 / 3)
"""The text around a passage that is shown."""


_LAST = np.iinfo(np.int64).max

_ROWS = 32
"""Runs whose vectors are summed together, by one product of matrices."""


class Runs(NamedTuple):
    """Runs of about the same number of words, one from each sentence of a document.

    Attributes:
        ends: The sentence after the last of each run, shape (sentences,).
        lengths: The norm of the sum of each run's token states, shape (sentences,); None without
            vectors.
    """

    ends: Integers
    lengths: Floats | None


@dataclass(frozen=True)
class Sentences:
    """The sentences of a document, prepared for any number of queries.

    Attributes:
        ranges: Half-open ranges of characters in text order, shape (sentences, 2).
        words: The number of words before each sentence, and of all, shape (sentences + 1,).
        borders: The sentences that are headings, ascending. A run ends before the next one.
        sums: The sum of each sentence's token states, shape (sentences, dimensions); None without
            vectors.
    """

    ranges: Integers
    words: Integers
    borders: Integers
    sums: NDArray[np.float32] | None
    _runs: dict[int, Runs] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.ranges)

    @property
    def bytes(self) -> int:
        """Return the approximate memory of the sentences, in bytes."""
        vectors = 0 if self.sums is None else self.sums.nbytes
        return vectors + (64 + 16 * len(self._runs)) * len(self)

    def runs(self, words: int) -> Runs:
        """Return the runs of about so many words, which are computed once."""
        if words not in self._runs:
            ends = self._ends(words)
            self._runs[words] = Runs(ends, self._lengths(np.arange(len(self)), ends))
        return self._runs[words]

    def around(self, words: int, around_words: int) -> Integers:
        """Return the sentence at which the text around each run begins, shape (sentences,).

        The run is in the middle of this text, unless the document begins or ends before.

        Args:
            words: The number of words of the runs.
            around_words: About the number of words of the text around each.
        """
        middles = (self.words[:-1] + self.words[self.runs(words).ends]) / 2
        firsts = np.searchsorted(self.words, middles - around_words / 2)
        last = np.searchsorted(self.words, self.words[-1] - around_words)
        return np.minimum(np.minimum(firsts, last), np.arange(len(self)))

    def _ends(self, words: int) -> Integers:
        """Return the ends with which the runs are nearest to a number of words."""
        begins = self.words[:-1]
        own = np.arange(len(self))
        limits = np.append(self.borders, len(self))[
            np.searchsorted(self.borders, own, side="right")
        ]
        ends = np.maximum(np.searchsorted(self.words, begins + words, side="right") - 1, own + 1)
        longer = np.minimum(ends + 1, len(self))
        missing, excess = begins + words - self.words[ends], self.words[longer] - begins - words
        return np.minimum(np.where(excess < missing, longer, ends), limits)

    def _lengths(self, firsts: Integers, ends: Integers) -> Floats | None:
        if self.sums is None:
            return None
        lengths = np.zeros(len(firsts))
        for start in range(0, len(firsts), _ROWS):
            part = slice(start, start + _ROWS)
            first, end = int(firsts[part].min()), int(ends[part].max())
            own = np.arange(first, end)
            inside = (own >= firsts[part, None]) & (own < ends[part, None])
            sums = inside.astype(np.float64) @ self.sums[first:end].astype(np.float64)
            lengths[part] = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        return np.where(lengths > 0, lengths, 1.0)

    @cached_property
    def lengths(self) -> Floats | None:
        """Return the norm of the sum of each sentence's token states, shape (sentences,)."""
        return self._lengths(np.arange(len(self)), np.arange(len(self)) + 1)


def read_sentences(document: Document, units: Units | None, language: str | None) -> Sentences:
    """Return the sentences of a document.

    Args:
        document: The document with its text.
        units: Its sentence units; None to split the text, without vectors.
        language: The language of the documents; None to guess it from the text.
    """
    text = document.text
    ranges = sentence_units(text, language) if units is None else np.asarray(units.ranges)
    counts = word_counts(text, ranges)
    sums = None
    if units is not None:
        sums = np.asarray(units.vectors, dtype=np.float32) * np.asarray(units.counts)[:, None]
    borders: list[int] = []
    if suffix_of(PurePath(document.id)) in MARKDOWN:
        starts = ranges[:, 0].tolist()
        borders = [row for row, start in enumerate(starts) if row and HEADING.match(text, start)]
    words = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    return Sentences(ranges, words, np.array(borders, dtype=np.int64), sums)


class RunScores:
    """The scores of a document's runs for one query.

    Args:
        sentences: The sentences of the document.
        places: The places of the query's terms in the text; None for vectors alone.
        weights: The weights of these terms; None for vectors alone.
        vector: The query as a unit vector; None for words alone.
        weight: The weight of the vectors, from 0 to 1; the words have the rest. If only one of the
            two is there, it has the whole weight.
    """

    def __init__(
        self,
        sentences: Sentences,
        places: TermPlaces | None,
        weights: QueryWeights | None,
        vector: NDArray[np.float32] | None,
        weight: float,
    ) -> None:
        self.sentences = sentences
        self._weights = weights
        self._counts = self._terms = self._products = None
        if places is not None and weights is not None:
            self._counts, self._terms = _counts_before(sentences, places, len(weights.numbers))
        if vector is not None and sentences.sums is not None:
            if sentences.sums.shape[1] != len(vector):
                raise StoreError(
                    f"sentence units in the store have {sentences.sums.shape[1]} numbers, and "
                    f"questions {len(vector)}: the store is damaged. Run `longembed reindex`, or "
                    "restore it from a copy"
                )
            products = (sentences.sums @ vector).astype(np.float64)
            self._products = np.concatenate([np.zeros(1), np.cumsum(products)])
        self._weight = weight

    def runs(
        self, words: int = RUN_WORDS, around: Around | None = AROUND, vectors: float = 1
    ) -> Floats:
        """Return the scores of the runs of about so many words, shape (sentences,).

        Args:
            words: The number of words of a run.
            around: How much the text around each run counts; None if it does not.
            vectors: By what the weight of the vectors is multiplied.
        """
        weight = min(vectors * self._weight, 1)
        firsts, own = np.arange(len(self.sentences)), self.sentences.runs(words)
        scores = self.of(firsts, own.ends, words, own.lengths, weight)
        if around is None:
            return scores
        wide = self.sentences.runs(around.words)
        more = self.of(firsts, wide.ends, around.words, wide.lengths, weight)
        more = more[self.sentences.around(words, around.words)]
        return np.asarray((1 - around.weight) * scores + around.weight * more)

    @property
    def is_answer(self) -> bool:
        """Return whether some run has enough of the query's words to be an answer.

        It is True without words, because cosines of different models have different scales.
        """
        words, _ = self.best()
        return bool(np.isnan(words) or words >= ANSWER_WORDS)

    def best(self) -> tuple[float, float]:
        """Return the highest score by words and the highest cosine of all runs.

        A value is NaN if the query or the document has no words or no vectors.
        """
        firsts, (ends, lengths) = np.arange(len(self.sentences)), self.sentences.runs(PASSAGE_WORDS)
        words, cosines = (
            self._words(firsts, ends, PASSAGE_WORDS),
            self._cosines(firsts, ends, lengths),
        )
        return _highest(words), _highest(cosines)

    def sentence(self, first: int, end: int) -> int:
        """Return the best of some neighbouring sentences; a long one is not worse for its length.

        Args:
            first: The first sentence.
            end: The sentence after the last.
        """
        lengths = self.sentences.lengths
        rows = np.arange(first, end)
        of_rows = None if lengths is None else lengths[rows]
        return first + int(np.argmax(self.of(rows, rows + 1, np.inf, of_rows)))

    def of(
        self,
        firsts: Integers,
        ends: Integers,
        words: float,
        lengths: Floats | None,
        weight: float | None = None,
    ) -> Floats:
        """Return the scores of ranges of sentences, shape (ranges,).

        Args:
            firsts: The first sentence of each.
            ends: The sentence after the last of each.
            words: The usual number of words in such a range.
            lengths: The norm of the sum of each range's token states; None without vectors.
            weight: The weight of the vectors; that of the query without it.
        """
        weight = self._weight if weight is None else weight
        by_words = self._words(firsts, ends, words)
        cosines = self._cosines(firsts, ends, lengths)
        if by_words is None or cosines is None:
            alone = cosines if by_words is None else by_words
            return np.zeros(len(firsts)) if alone is None else alone
        return np.asarray((1 - weight) * by_words + weight * cosines)

    def _words(self, firsts: Integers, ends: Integers, words: float) -> Floats | None:
        """Return BM25 as a share of what a text with every term of the query gets."""
        if self._counts is None or self._terms is None or self._weights is None:
            return None
        counts = self._counts[ends] - self._counts[firsts]
        terms = (self._terms[ends] - self._terms[firsts]).astype(np.float64)
        norms = length_norms(terms, words)
        parts = counts / np.maximum(counts + norms[:, None], 1e-9)
        highest = self._weights.highest.passage
        return np.asarray(parts @ self._weights.passage_weights / (highest or 1.0))

    def _cosines(self, firsts: Integers, ends: Integers, lengths: Floats | None) -> Floats | None:
        if self._products is None or lengths is None:
            return None
        return np.asarray((self._products[ends] - self._products[firsts]) / lengths)


def _highest(scores: Floats | None) -> float:
    return float("nan") if scores is None or not len(scores) else float(scores.max())


def _counts_before(
    sentences: Sentences, places: TermPlaces, terms: int
) -> tuple[NDArray[np.float64], Integers]:
    """Count the occurrences of each query term, and all terms, before each sentence and the end."""
    bounds = np.append(sentences.ranges[:, 0], _LAST)
    owners = np.searchsorted(bounds, places.characters, side="right")
    pairs = owners * max(terms, 1) + places.terms
    # Row 0 counts the terms before the first sentence.
    counts = np.bincount(pairs, minlength=len(bounds) * max(terms, 1))
    before = np.cumsum(counts.reshape(len(bounds), -1)[:, :terms], axis=0).astype(np.float64)
    return before, np.searchsorted(places.starts, bounds).astype(np.int64)
