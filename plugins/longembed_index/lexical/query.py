"""One query, put to the words of documents."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from longembed_index.lexical.analyzer import NO_LANGUAGE, Analyzer, count_terms, get_analyzer
from longembed_index.lexical.other_spellings import other_spellings
from longembed_index.lexical.packing import Lists
from longembed_index.lexical.postings import Occurrences, read_occurrences
from longembed_index.lexical.scores import (
    Integers,
    QueryWeights,
    TermPlaces,
    WordScores,
    document_scores,
    idf,
)
from longembed_index.lexical.tables import (
    Settings,
    TermCount,
    Totals,
    find_candidates,
    read_documents,
    read_pairs_with,
    read_settings,
    read_starts,
    read_term_counts,
    read_totals,
)

T = TypeVar("T")

_TERMS_AT_ONCE = 20_000_000
"""Terms of documents that are scored together."""

_MOST_TERMS, _MOST_CHARACTERS = 512, 32
"""The most terms by which documents are scored, the rarest of a long query, and the most lone
characters whose pairs are looked for: memory and time grow with them, the scores hardly change."""


class Reader(Protocol):
    """What reads a file of words; `longembed_index.lexical.index.WordIndex` is one."""

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads, all of one commit."""


class _QueryTerms(NamedTuple):
    edition: str
    counts: list[TermCount]
    weights: QueryWeights


class _Kept(NamedTuple):
    settings: Settings
    documents: Integers
    occurrences: Occurrences


class WordQuery:
    """One query; see `longembed_index.store.protocol.LexicalQuery`."""

    def __init__(self, words: Reader, text: str) -> None:
        self._words, self._text = words, text
        self._known: _QueryTerms | None = None
        self._kept: _Kept | None = None
        self._lists: tuple[Settings, Lists] | None = None

    @property
    def weights(self) -> QueryWeights:
        """Return what the query's terms weigh; `TermPlaces.terms` are indices into them."""
        return self._words.read(self._terms).weights

    @property
    def highest(self) -> WordScores:
        """Return what a document comes near to that holds every term of the query many times."""
        return self.weights.highest

    def candidates(self, most: int, among: Collection[str] | None = None) -> list[str]:
        """Return ids of documents with words of the query, the likeliest first."""

        def work(connection: sqlite3.Connection) -> list[str]:
            known = self._terms(connection)
            weights = known.weights.document_weights
            lists = self._lists_of(read_settings(connection))
            return find_candidates(connection, known.counts, weights, most, among, lists)

        return self._words.read(work)

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """Return the scores of documents by id; those that do not exist are left out."""

        def work(connection: sqlite3.Connection) -> dict[str, WordScores]:
            weights = self._terms(connection).weights
            existing, numbers, lengths = read_documents(connection, ids)
            scores: dict[str, WordScores] = {}
            for part in _parts(lengths):
                occurrences = self._occurrences(connection, numbers[part])
                texts = np.searchsorted(numbers[part], occurrences.documents)
                pairs = document_scores(
                    weights, lengths[part], texts, occurrences.terms, occurrences.positions
                )
                columns = (values.tolist() for values in pairs)
                scores |= zip(existing[part], map(WordScores, *columns), strict=True)
            return scores

        return self._words.read(work)

    def places(self, ids: Sequence[str]) -> dict[str, TermPlaces]:
        """Return where the query's terms stand in documents, by id; of those that exist."""

        def work(connection: sqlite3.Connection) -> dict[str, TermPlaces]:
            existing, numbers, lengths = read_documents(connection, ids)
            starts = read_starts(connection, existing)
            occurrences = self._occurrences(connection, numbers)
            order = np.argsort(occurrences.documents, kind="stable")
            owners, terms, positions = (values[order] for values in occurrences)
            bounds = np.searchsorted(owners, [*numbers, np.iinfo(np.int64).max]).tolist()
            places = {}
            for row, document_id in enumerate(existing):
                part = slice(bounds[row], bounds[row + 1])
                characters = starts[document_id][positions[part]].astype(np.int64)
                by_character = np.argsort(characters, kind="stable")
                places[document_id] = TermPlaces(
                    terms[part][by_character],
                    characters[by_character],
                    starts[document_id][: lengths[row]],
                )
            return places

        return self._words.read(work)

    def count_in(self, texts: Sequence[str]) -> Integers:
        """Return how often each of the query's terms is in other texts, shape (texts, terms)."""

        def work(connection: sqlite3.Connection) -> Integers:
            numbers = {count.term: n for n, count in enumerate(self._terms(connection).counts)}
            analyzer = _analyzer(connection)
            return count_terms([analyzer.tokens(text) for text in texts], numbers)

        return self._words.read(work)

    def _occurrences(self, connection: sqlite3.Connection, numbers: Integers) -> Occurrences:
        """Return the places of the query's terms; those read last are not read again."""
        terms = self._terms(connection).weights.numbers.tolist()
        settings, kept = read_settings(connection), self._kept
        # Without a generation, the words are being changed.
        is_same = kept and settings.generation is not None and kept.settings == settings
        if kept and is_same and np.isin(numbers, kept.documents).all():
            inside = np.isin(kept.occurrences.documents, numbers)
            return Occurrences(*(column[inside] for column in kept.occurrences))
        occurrences = read_occurrences(connection, terms, numbers, self._lists_of(settings))
        self._kept, self._lists = _Kept(settings, numbers, occurrences), None
        return occurrences

    def _lists_of(self, settings: Settings) -> Lists:
        """Return the lists that looking for candidates has read, if the words are the same."""
        if self._lists is None or settings.generation is None or self._lists[0] != settings:
            self._lists = (settings, {})
        return self._lists[1]

    def _terms(self, connection: sqlite3.Connection) -> _QueryTerms:
        """Return what is needed of the collection; read once, and again of another file."""
        edition = read_settings(connection).edition
        if self._known is None or self._known.edition != edition:
            analyzer, totals = _analyzer(connection), read_totals(connection)
            times = Counter(analyzer.tokens(self._text).scoring())
            # A text that has the word as the query has it gets the highest score without them.
            others = analyzer.tokens(other_spellings(self._text)).scoring()
            shares: dict[str, float] = {term: 0.0 for term in others if term not in times}
            times.update(shares.keys())
            counts = {count.term: count for count in read_term_counts(connection, times)}
            characters = list(filter(analyzer.is_character, times))[:_MOST_CHARACTERS]
            for character in characters:
                # All pairs of a lone character together are as rare as it.
                pairs = read_pairs_with(connection, character)[: _MOST_TERMS // len(characters)]
                documents, passages = np.sum([pair[2:] for pair in pairs] or [(0, 0)], axis=0)
                both = min(documents, totals.documents), min(passages, totals.passages)
                shares |= {pair.term: 1 / len(pairs) for pair in pairs if pair.term not in times}
                if pairs and character not in counts:
                    shares[character] = 0.0
                for pair in pairs:
                    times.setdefault(pair.term, times[character])
                    counts[pair.term] = pair._replace(documents=both[0], passages=both[1])
            by_rarity = sorted(counts.values(), key=lambda count: (count.documents, count.number))
            for count in by_rarity[_MOST_TERMS:]:
                del times[count.term]
            rarest = sorted(by_rarity[:_MOST_TERMS])
            self._known = _weighted(edition, rarest, times, totals, shares)
        return self._known


def _weighted(
    edition: str,
    counts: list[TermCount],
    times: Counter[str],
    totals: Totals,
    shares: Mapping[str, float],
) -> _QueryTerms:
    """Return the terms of a query with their weights.

    Args:
        edition: The edition of the file of words.
        counts: The terms that the collection has.
        times: How many times each term of the query is there.
        totals: The totals of the collection.
        shares: How much of a term counts for the highest score; all of it if it is not named.
    """
    often = np.array([times[count.term] for count in counts], dtype=np.float64)
    documents = np.array([count.documents for count in counts], dtype=np.float64)
    passages = np.array([count.passages for count in counts], dtype=np.float64)
    document_weights = often * idf(documents, totals.documents)
    passage_weights = often * idf(passages, totals.passages)
    own = np.array([shares.get(count.term, 1.0) for count in counts], dtype=np.float64)
    known = {count.term for count in counts}
    missing = sum(times[term] * shares.get(term, 1.0) for term in times if term not in known)
    nowhere = np.zeros(1)
    weights = QueryWeights(
        np.array([count.number for count in counts], dtype=np.int32),
        document_weights,
        passage_weights,
        totals.length / max(totals.documents, 1),
        totals.passage_length / max(totals.passages, 1),
        WordScores(
            float(own @ document_weights + missing * idf(nowhere, totals.documents)[0]),
            float(own @ passage_weights + missing * idf(nowhere, totals.passages)[0]),
        ),
    )
    return _QueryTerms(edition, counts, weights)


def _analyzer(connection: sqlite3.Connection) -> Analyzer:
    return get_analyzer(read_settings(connection).language or NO_LANGUAGE)


def _parts(lengths: Integers) -> Iterator[slice]:
    """Yield parts of a list of documents, each with about so many terms at most."""
    steps = np.cumsum(lengths) // _TERMS_AT_ONCE
    bounds = [*np.unique(steps, return_index=True)[1].tolist(), len(lengths)]
    yield from map(slice, bounds[:-1], bounds[1:])
