"""Runs of neighbouring sentences of a document, scored by words and vectors.

A run begins at each sentence. Its score may have two parts: that of the run itself, and that of the
text around it, because the text around an answer is mostly about the same subject. The score by
words is BM25 as a share of what a text with every term of the query would get. So scores of
different documents and queries can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.errors import StoreError
from longembed_index.lexical.scores import Floats, Integers, length_norms
from longembed_index.search.sentences import are_inside

if TYPE_CHECKING:
    from longembed_index.lexical.scores import QueryWeights, TermPlaces
    from longembed_index.search.sentences import Sentences

RUN_WORDS = 40
"""Words of a run in a context (docs/PASSAGES_MEASURED.md)."""

PASSAGE_WORDS = 60
"""Words of a passage that is shown, and of the best run in the score of a document."""

ANSWER_WORDS = 0.15
"""The least score by words of a run that seems to answer (docs/PASSAGES_MEASURED.md)."""


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


HEADING_WEIGHT, TITLE_WEIGHT = 0.5, 1.0
"""How much a word of the headings above a run, and of the document's title or the page's header,
counts beside one of its text (docs/PASSAGES_MEASURED.md)."""

_LAST = np.iinfo(np.int64).max


class RunScores:
    """The scores of a document's runs for one query.

    Args:
        sentences: The sentences of the document.
        places: The places of the query's terms in the text; None for vectors alone.
        weights: The weights of these terms; None for vectors alone.
        vector: The query as a unit vector; None for words alone.
        weight: The weight of the vectors, from 0 to 1; the words have the rest. If only one of the
            two is there, it has the whole weight.
        in_title: How often each term is in the title of the document; None if that does not count.
    """

    def __init__(
        self,
        sentences: Sentences,
        places: TermPlaces | None,
        weights: QueryWeights | None,
        vector: NDArray[np.float32] | None,
        weight: float,
        in_title: Integers | None = None,
    ) -> None:
        self.sentences = sentences
        self._weights = weights
        self._counts = self._terms = self._products = self._above = None
        if places is not None and weights is not None:
            self._counts, self._terms = _counts_before(sentences, places, len(weights.numbers))
            self._above = _counts_above(sentences, self._counts, places, in_title)
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

        The score of a run without content is NaN.

        Args:
            words: The number of words of a run.
            around: How much the text around each run counts; None if it does not.
            vectors: By what the weight of the vectors is multiplied.
        """
        weight = min(vectors * self._weight, 1)
        firsts, own = np.arange(len(self.sentences)), self.sentences.runs(words)
        scores = self.score_ranges(firsts, own.ends, words, own.lengths, weight)
        if around is not None:
            wide = self.sentences.runs(around.words)
            more = self.score_ranges(firsts, wide.ends, around.words, wide.lengths, weight)
            more = more[self.sentences.around(words, around.words)]
            scores = (1 - around.weight) * scores + around.weight * more
        return np.where(self.sentences.have_content(own.ends), scores, np.nan)

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
        ends, lengths = self.sentences.runs(PASSAGE_WORDS)
        firsts = np.flatnonzero(self.sentences.have_content(ends))
        lengths = None if lengths is None else lengths[firsts]
        words = self._words(firsts, ends[firsts], PASSAGE_WORDS)
        cosines = self._cosines(firsts, ends[firsts], lengths)
        return _highest(words), _highest(cosines)

    def sentence(self, first: int, end: int) -> int:
        """Return the best of some neighbouring sentences, one of which has content."""
        lengths = self.sentences.lengths
        rows = self.sentences.content_in(first, end)
        of_rows = None if lengths is None else lengths[rows]
        return int(rows[np.argmax(self.score_ranges(rows, rows + 1, np.inf, of_rows))])

    def score_ranges(
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
        if self._above is not None:
            counts += self._above[firsts]
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
    """Count each query term, and all terms, before each sentence and the end, without margins."""
    bounds = np.append(sentences.ranges[:, 0], _LAST)
    counted, starts = (
        ~are_inside(characters, sentences.margins)
        for characters in (places.characters, places.starts)
    )
    owners = np.searchsorted(bounds, places.characters[counted], side="right")
    pairs = owners * max(terms, 1) + places.terms[counted]
    # Row 0 counts the terms before the first sentence.
    counts = np.bincount(pairs, minlength=len(bounds) * max(terms, 1))
    before = np.cumsum(counts.reshape(len(bounds), -1)[:, :terms], axis=0).astype(np.float64)
    return before, np.searchsorted(places.starts[starts], bounds).astype(np.int64)


def _counts_above(
    sentences: Sentences, before: Floats, places: TermPlaces, in_title: Integers | None
) -> Floats | None:
    """Return the weighted counts of each query term in what is above sentences.

    That is the title, the headings, and the headers and footers of the page. Shape (sentences,
    terms); None without any.
    """
    above = np.zeros((len(sentences), before.shape[1]))
    if in_title is not None:
        above += TITLE_WEIGHT * in_title
    counts = np.append(np.diff(before, axis=0), np.zeros((1, before.shape[1])), axis=0)
    for rows in sentences.headings_above.T:
        above += HEADING_WEIGHT * counts[rows]
    if len(sentences.margins):
        above += TITLE_WEIGHT * _counts_in_margins(sentences, places, before.shape[1])
    return above if above.any() else None


def _counts_in_margins(sentences: Sentences, places: TermPlaces, terms: int) -> Integers:
    """Count each query term in the headers and footers of each sentence's page."""
    inside = are_inside(places.characters, sentences.margins)
    pages = np.searchsorted(sentences.page_ends, places.characters[inside])
    counts = np.zeros((len(sentences.page_ends) + 1, terms), dtype=np.int64)
    np.add.at(counts, (pages, places.terms[inside]), 1)
    return counts[np.searchsorted(sentences.page_ends, sentences.ranges[:, 0])]
