"""One query, put to the words of documents."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from longembed_index.lexical.analyzer import NO_LANGUAGE, Analyzer, get_analyzer
from longembed_index.lexical.scores import (
    QueryWeights,
    TermPlaces,
    Terms,
    WordScores,
    document_scores,
    idf,
    occurrences_in,
)
from longembed_index.lexical.tables import (
    TermCount,
    Totals,
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

    @property
    def weights(self) -> QueryWeights:
        """Return what the query's terms weigh; `TermPlaces.terms` are indices into them."""
        return self._words.read(self._terms).weights

    @property
    def highest(self) -> WordScores:
        """Return what a document comes near to that holds every term of the query many times."""
        return self.weights.highest

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

    def places(self, ids: Sequence[str]) -> dict[str, TermPlaces]:
        """Return where the query's terms stand in documents, by id; of those that exist.

        Args:
            ids: The documents.
        """

        def work(connection: sqlite3.Connection) -> dict[str, TermPlaces]:
            weights = self._terms(connection).weights
            places = {}
            for document_id, terms, packed in read_document_terms(connection, ids):
                starts = unpack_starts(packed)
                rows, columns = occurrences_in(terms, weights)
                places[document_id] = TermPlaces(columns, starts[rows].astype(np.int64), starts)
            return places

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
                self._missing(times, counts, totals),
            )
            self._known = _QueryTerms(edition, counts, weights)
        return self._known

    @staticmethod
    def _missing(times: Counter[str], counts: Sequence[TermCount], totals: Totals) -> WordScores:
        """Return what the terms weigh that no document has."""
        often = times.total() - sum(times[count.term] for count in counts)
        nowhere = np.zeros(1)
        document, passage = (
            float(often * idf(nowhere, count)[0]) for count in (totals.documents, totals.passages)
        )
        return WordScores(document, passage)


def _analyzer(connection: sqlite3.Connection) -> Analyzer:
    return get_analyzer(read_settings(connection).language or NO_LANGUAGE)
