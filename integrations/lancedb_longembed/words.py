"""LanceDB's full-text index as the words of a store: it scores documents and their passages.

Texts are analysed as in every store, so that stemming, stop words and scripts without spaces are
the same; LanceDB only splits the terms at spaces. Its k1 is 1.2, where other stores have 1.5.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from lancedb.index import FTS
from lancedb.query import DocumentGranularity, MatchQuery, PhraseQuery

from lancedb_longembed.tables import KEY, Rows, one_of
from longembed_index.lexical.analyzer import NO_LANGUAGE, Tokens, count_terms, get_analyzer
from longembed_index.lexical.scores import (
    STEP,
    WINDOW,
    Integers,
    QueryWeights,
    TermPlaces,
    WordScores,
    idf,
    window_count,
)
from longembed_index.store.sqlite_rows import is_storable

TEXT, WORDS, PASSAGES = "text", "words", "passages"
WORD_FIELDS = (pa.field(WORDS, pa.large_string()), pa.field(PASSAGES, pa.list_(pa.string())))
"""Columns with the terms of a document in order, and those of each of its passages."""

_AS_GIVEN: dict[str, Any] = {
    "base_tokenizer": "whitespace",
    "stem": False,
    "remove_stop_words": False,
    "ascii_folding": False,
    "lower_case": False,
    "max_token_length": None,
}
INDICES = {
    WORDS: FTS(with_position=True, **_AS_GIVEN),
    PASSAGES: FTS(document_granularity=DocumentGranularity.LIST_ELEMENT, **_AS_GIVEN),
}
"""LanceDB's configurations of the full-text indices, by column."""

_ALL = 10_000_000
"""More passages than are ever asked for at once."""
_MOST_UNINDEXED = 0.05
"""The share of unindexed documents up to which it hardly matters how their words are counted."""
_COUNTED = 10_000
"""The documents of a term are counted up to here: beyond, it hardly tells passages apart."""
_LANCE_FACTOR = 2.2
"""LanceDB's BM25 has k1 + 1 in its numerator, which ours leaves out."""
_PASSAGE_LENGTH = 0.9 * WINDOW
"""The average length, as nearly as it matters within one document, whose last passage is short."""


def word_columns(language: str, texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the columns `WORDS` and `PASSAGES` of texts in one language."""
    analysed = [get_analyzer(language).tokens(text) for text in texts]
    return {
        WORDS: [" ".join(tokens.terms) for tokens in analysed],
        PASSAGES: [
            [
                " ".join(tokens.terms[first : min(first + WINDOW, tokens.row)])
                for first in range(0, STEP * window_count(tokens.row), STEP)
            ]
            for tokens in analysed
        ],
    }


class LanceWords:
    """The words of a collection; see `longembed_index.store.protocol.LexicalIndex`.

    Args:
        rows: The collection's table; None if it has no documents yet.
        language: The language of the documents; None without documents.
    """

    def __init__(self, rows: Rows | None, language: str | None) -> None:
        self._rows, self.language = rows, language

    def __len__(self) -> int:
        return 0 if self._rows is None else len(self._rows)

    def query(self, text: str) -> LanceQuery:
        """Put a query; any text, nothing in it is an operator."""
        return LanceQuery(self, text)

    def find_phrase(self, phrase: str) -> set[str] | None:
        """Return the documents with the words of a phrase in a row; None if it has no words."""
        rows = get_analyzer(self.language or NO_LANGUAGE).phrases(phrase)
        if not rows:
            return None
        queries = [_query(PhraseQuery, row, WORDS) for row in rows]
        return {key for query in queries for key, _ in self.search(query, len(self))}

    def analyse(self, text: str) -> Tokens:
        """Return the terms of a text in the language of the documents."""
        return get_analyzer(self.language or NO_LANGUAGE).tokens(text)

    def texts_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the texts of documents by id; of those that exist."""
        batches = self._rows.read_keys(list(ids), KEY, TEXT) if self._rows is not None else ()
        return {
            key: text
            for batch in batches
            for key, text in zip(batch[KEY].to_pylist(), batch[TEXT].to_pylist(), strict=True)
        }

    def search(
        self, query: Any, most: int, among: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return ids and scores, best first; a document once for each passage that matches."""
        if self._rows is None or most < 1:
            return []
        if among is not None and self._rows.count_unindexed() > _MOST_UNINDEXED * len(self):
            # Among a few, LanceDB counts the words of unindexed documents in those few only.
            wanted = set(among)
            pairs = (pair for pair in self.search(query, _ALL) if pair[0] in wanted)
            return list(itertools.islice(pairs, most))
        keys = None if among is None else list(filter(is_storable, among))
        if keys == []:
            return []
        with self._rows.errors("read"):
            search = self._rows.table.search(query, query_type="fts").limit(most)
            if keys is not None:
                search = search.where(one_of(keys), prefilter=True)
            table = search.select([KEY, "_score"]).to_arrow()
        return list(zip(table[KEY].to_pylist(), table["_score"].to_pylist(), strict=True))


class LanceQuery:
    """One query; see `longembed_index.store.protocol.LexicalQuery`."""

    def __init__(self, words: LanceWords, text: str) -> None:
        self._words = words
        self._terms = words.analyse(text).scoring()

    def candidates(self, most: int, among: Collection[str] | None = None) -> list[str]:
        """Return ids of documents with words of the query, the likeliest first."""
        return [key for key, _ in self._search(WORDS, most, among)]

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """Return the scores of documents by id; those without words of the query are left out."""
        among = ids if len(ids) < len(self._words) else None
        passages: dict[str, float] = {}
        for key, score in self._search(PASSAGES, _ALL, among):
            # The best comes first.
            passages.setdefault(key, score)
        documents = dict(self._search(WORDS, max(len(ids), len(passages)), among))
        return {
            key: WordScores(documents[key], passages.get(key, 0.0))
            for key in ids
            if key in documents
        }

    def _search(
        self, column: str, most: int, among: Collection[str] | None
    ) -> list[tuple[str, float]]:
        if not self._terms:
            return []
        return self._words.search(_query(MatchQuery, self._terms, column), most, among)

    def places(self, ids: Sequence[str]) -> dict[str, TermPlaces]:
        """Return where the query's terms stand in documents, by id; of those that exist."""
        return {
            key: self._words.analyse(text).places(self._columns)
            for key, text in self._words.texts_of(ids).items()
        }

    def count_in(self, texts: Sequence[str]) -> Integers:
        """Return how often each of the query's terms is in other texts, shape (texts, terms)."""
        return count_terms([self._words.analyse(text) for text in texts], self._columns)

    @property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(sorted(set(self._terms)))}

    @property
    def highest(self) -> WordScores:
        """Return what `scores` come near to for a document that has every term many times."""
        return WordScores(*(_LANCE_FACTOR * score for score in self.weights.highest))

    @cached_property
    def weights(self) -> QueryWeights:
        """Return what the query's terms weigh; `TermPlaces.terms` are indices into them."""
        times = Counter(self._terms)
        terms = sorted(times)
        documents = [
            len(self._words.search(_query(MatchQuery, [term], WORDS), _COUNTED)) for term in terms
        ]
        weights = np.array([times[term] for term in terms], dtype=np.float64) * idf(
            np.array(documents, dtype=np.float64), len(self._words)
        )
        numbers = np.arange(len(terms), dtype=np.int32)
        highest = WordScores(float(weights.sum()), float(weights.sum()))
        return QueryWeights(numbers, weights, weights, _PASSAGE_LENGTH, _PASSAGE_LENGTH, highest)


def _query(kind: Any, terms: Sequence[str], column: str) -> Any:
    # Typed by LanceDB as if its defaults had to be given.
    return kind(" ".join(terms), column)
