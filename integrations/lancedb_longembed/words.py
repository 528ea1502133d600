"""LanceDB's full-text index as the words of a store: it scores documents and their passages.

Texts are cut as in every store, so that stemming, stop words and scripts without spaces are the
same; LanceDB only parts the terms at spaces. Its k1 is 1.2 where `longembed_index.bm25` has 1.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from lancedb.index import FTS
from lancedb.query import DocumentGranularity, MatchQuery, PhraseQuery
from numpy.typing import NDArray

from lancedb_longembed.tables import KEY, Rows, among, lance_errors
from longembed_index.bm25 import idf
from longembed_index.word_index import WordScores
from longembed_index.word_scores import (
    STEP,
    WINDOW,
    Statistics,
    range_scores_of,
    window_count,
    window_ranges,
)
from longembed_index.words import NO_LANGUAGE, Terms, words_of

WORDS, PASSAGES = "words", "passages"
COLUMNS = [pa.field(WORDS, pa.large_string()), pa.field(PASSAGES, pa.list_(pa.string()))]
"""The terms of a document in order, and those of each of its passages."""

_AS_THEY_ARE: dict[str, Any] = {
    "base_tokenizer": "whitespace",
    "stem": False,
    "remove_stop_words": False,
    "ascii_folding": False,
    "lower_case": False,
    "max_token_length": None,
}
INDICES = {
    WORDS: FTS(with_position=True, **_AS_THEY_ARE),
    PASSAGES: FTS(document_granularity=DocumentGranularity.LIST_ELEMENT, **_AS_THEY_ARE),
}

_ALL = 10_000_000
"""More passages than are ever asked for at once."""
_COUNTED = 10_000
"""Documents of one term that are counted: beyond that, it hardly tells passages apart."""
_PASSAGE_LENGTH = 0.9 * WINDOW
"""The average, as nearly as it matters within one document: only its last passage is shorter."""


def word_columns(language: str, texts: Iterable[str]) -> dict[str, list[Any]]:
    """What is stored of the words of some texts.

    Args:
        language: Of all of them.
        texts: The texts.

    Returns:
        By column.
    """
    cut = [_terms(words_of(language).of(text)) for text in texts]
    return {
        WORDS: [" ".join(terms) for terms in cut],
        PASSAGES: [
            [
                " ".join(terms[first : first + WINDOW])
                for first in range(0, STEP * window_count(len(terms)), STEP)
            ]
            for terms in cut
        ],
    }


class LanceWords:
    """The words of one collection; see `longembed_index.word_index.WordIndex`.

    Args:
        rows: Its table; None if it has no documents.
        language: Of its documents; None likewise.
        text: The column of its texts.
    """

    def __init__(self, rows: Rows | None, language: str | None, text: str) -> None:
        self.rows, self.language, self._text = rows, language, text

    def __len__(self) -> int:
        return 0 if self.rows is None else len(self.rows)

    def ask(self, query: str) -> LanceQuery:
        """Put a query, any text."""
        return LanceQuery(self, query)

    def with_phrase(self, phrase: str) -> set[str] | None:
        """The documents that have the terms of a phrase in a row; None if it has no terms."""
        terms = _terms(self.cut(phrase))
        if not terms:
            return None
        return {key for key, _ in self.found(_query(PhraseQuery, terms, WORDS), len(self))}

    def windows(self, record_id: str, characters: int) -> list[tuple[int, int]]:
        """The passages of a document as ranges of its characters."""
        return window_ranges(self.cut(self.text_of(record_id)).starts, characters)

    def cut(self, text: str) -> Terms:
        """The terms of a text, in the language of the documents."""
        return words_of(self.language or NO_LANGUAGE).of(text)

    def text_of(self, record_id: str) -> str:
        """The text of a document; empty if it is not there."""
        if self.rows is None:
            return ""
        return "".join(
            row[self._text] or "" for row in self.rows.rows(self._text, where=among([record_id]))
        )

    def found(
        self, query: Any, most: int, ids: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """What LanceDB finds: ids and scores, the best first; a document once for each passage.

        Args:
            query: LanceDB's.
            most: How many at most.
            ids: Among which documents; None for all.
        """
        if self.rows is None or not most:
            return []
        with lance_errors("read"):
            asked = self.rows.table.search(query, query_type="fts").limit(most)
            if ids is not None:
                asked = asked.where(among(ids), prefilter=True)
            table = asked.select([KEY, "_score"]).to_arrow()
        return list(zip(table[KEY].to_pylist(), table["_score"].to_pylist(), strict=True))


class LanceQuery:
    """One query, put to the words; see `longembed_index.word_index.WordQuery`.

    Args:
        words: Of the documents.
        query: Any text.
    """

    def __init__(self, words: LanceWords, query: str) -> None:
        self._words = words
        self._terms = _terms(words.cut(query))

    def candidates(self, most: int) -> list[str]:
        """Documents that have words of the query, the likeliest first."""
        return [key for key, _ in self._found(WORDS, most)]

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """The scores of some documents: those without a word of the query have zeros."""
        some = ids if len(ids) < len(self._words) else None
        documents = dict(self._found(WORDS, len(ids), some))
        passages: dict[str, float] = {}
        for key, score in self._found(PASSAGES, _ALL, some):
            # The best comes first.
            passages.setdefault(key, score)
        return {key: WordScores(documents.get(key, 0.0), passages.get(key, 0.0)) for key in ids}

    def _found(
        self, column: str, most: int, ids: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        if not self._terms or (ids is not None and not ids):
            return []
        return self._words.found(_query(MatchQuery, self._terms, column), most, ids)

    def range_scores(
        self, record_id: str, ranges: Sequence[tuple[int, int]]
    ) -> NDArray[np.float64]:
        """The scores of parts of a document, as if they were passages."""
        return self.text_scores(self._words.text_of(record_id), ranges)

    def text_scores(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """The same of parts of any text."""
        numbers = {term: number for number, term in enumerate(sorted(set(self._terms)))}
        cut = self._words.cut(text)
        terms = np.array([numbers.get(term, -1) for term in _terms(cut)], dtype=np.int32)
        return range_scores_of(self._statistics, terms, cut.starts, ranges)

    @cached_property
    def _statistics(self) -> Statistics:
        times = Counter(self._terms)
        terms = sorted(times)
        counts = [
            len(self._words.found(_query(MatchQuery, [term], WORDS), _COUNTED)) for term in terms
        ]
        weights = np.array([times[term] for term in terms], dtype=np.float64) * idf(
            np.array(counts, dtype=np.float64), len(self._words)
        )
        numbers = np.arange(len(terms), dtype=np.int32)
        return Statistics(numbers, weights, weights, _PASSAGE_LENGTH, _PASSAGE_LENGTH)


def _query(kind: Any, terms: Sequence[str], column: str) -> Any:
    # Typed by LanceDB as if its defaults had to be given.
    return kind(" ".join(terms), column)


def _terms(cut: Terms) -> list[str]:
    """Terms without the spaces that a few signs are folded to."""
    return ["".join(term.split()) for term in cut.terms]
