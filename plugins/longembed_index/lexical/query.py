"""One query, put to the words of documents."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from longembed_index.lexical.analyzer import NO_LANGUAGE, Analyzer, get_analyzer
from longembed_index.lexical.protocol import WordScores
from longembed_index.lexical.scores import (
    QueryWeights,
    Terms,
    document_scores,
    idf,
    range_scores,
)
from longembed_index.lexical.tables import (
    TermCount,
    find_candidates,
    read_document_terms,
    read_settings,
    read_term_counts,
    read_totals,
    unpack_starts,
)

T = TypeVar("T")

_TERMS_AT_ONCE = 2_000_000
"""Terms of documents that are scored together."""


class Reader(Protocol):
    """What reads a file of words; `longembed_index.lexical.index.WordIndex` is one."""

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads, all of one commit."""


class _QueryTerms(NamedTuple):
    edition: str
    counts: list[TermCount]
    weights: QueryWeights


class WordQuery:
    """One query; see `longembed_index.lexical.protocol.LexicalQuery`.

    Args:
        words: The words that it is put to.
        text: Any text.
    """

    def __init__(self, words: Reader, text: str) -> None:
        self._words, self._text = words, text
        self._known: _QueryTerms | None = None

    def candidates(self, most: int, among: Sequence[str] | None = None) -> list[str]:
        """Return ids of documents with words of the query, the likeliest first."""

        def work(connection: sqlite3.Connection) -> list[str]:
            known = self._terms(connection)
            weights = known.weights.document_weights
            return find_candidates(connection, known.counts, weights, most, among)

        return self._words.read(work)

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """Return the scores of documents by id; those that do not exist are left out."""

        def work(connection: sqlite3.Connection) -> dict[str, WordScores]:
            weights = self._terms(connection).weights
            scores: dict[str, WordScores] = {}
            waiting: list[tuple[str, Terms]] = []
            together = 0
            for document_id, terms, _ in read_document_terms(connection, ids):
                waiting.append((document_id, terms))
                together += len(terms)
                if together > _TERMS_AT_ONCE:
                    scores |= document_scores(weights, waiting)
                    waiting, together = [], 0
            return scores | document_scores(weights, waiting)

        return self._words.read(work)

    def range_scores(
        self, document_id: str, ranges: Sequence[tuple[int, int]]
    ) -> NDArray[np.float64]:
        """Return the scores of ranges of a document's characters, as if each was a passage.

        Args:
            document_id: The document.
            ranges: Half-open ranges of its characters.

        Returns:
            Shape (ranges,); zeros if the document does not exist.
        """

        def work(connection: sqlite3.Connection) -> NDArray[np.float64]:
            weights = self._terms(connection).weights
            for _, terms, starts in read_document_terms(connection, [document_id]):
                return range_scores(weights, terms, unpack_starts(starts), ranges)
            return np.zeros(len(ranges))

        return self._words.read(work)

    def text_scores(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """Return the scores of ranges of any text's characters, such as a passage's sentences.

        Args:
            text: The text.
            ranges: Half-open ranges of its characters.

        Returns:
            Shape (ranges,).
        """

        def work(connection: sqlite3.Connection) -> NDArray[np.float64]:
            known = self._terms(connection)
            numbers = {count.term: count.number for count in known.counts}
            tokens = _analyzer(connection).tokens(text)
            terms = np.array([numbers.get(term, -1) for term in tokens.terms], dtype=np.int32)
            return range_scores(known.weights, terms, tokens.starts, ranges)

        return self._words.read(work)

    def _terms(self, connection: sqlite3.Connection) -> _QueryTerms:
        """Return what is needed of the collection; read once, and again of another file."""
        edition = read_settings(connection).edition
        if self._known is None or self._known.edition != edition:
            times = Counter(_analyzer(connection).tokens(self._text).terms)
            counts = read_term_counts(connection, list(times))
            totals = read_totals(connection)
            often = np.array([times[count.term] for count in counts], dtype=np.float64)
            documents = np.array([count.documents for count in counts], dtype=np.float64)
            passages = np.array([count.passages for count in counts], dtype=np.float64)
            weights = QueryWeights(
                np.array([count.number for count in counts], dtype=np.int32),
                often * idf(documents, totals.documents),
                often * idf(passages, totals.passages),
                totals.length / max(totals.documents, 1),
                totals.passage_length / max(totals.passages, 1),
            )
            self._known = _QueryTerms(edition, counts, weights)
        return self._known


def _analyzer(connection: sqlite3.Connection) -> Analyzer:
    return get_analyzer(read_settings(connection).language or NO_LANGUAGE)
