"""From a question to the documents, and the passages, that answer it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from longembed_index.document import Hit
from longembed_index.errors import StoreError
from longembed_index.search.context import DOCUMENTS, Measure, fill
from longembed_index.search.dense import BUDGET, MemoryQuery, StoreQuery, load_vectors
from longembed_index.search.filtered import FilteredDocuments, check_keys
from longembed_index.search.passages import joined_windows
from longembed_index.search.query import Query, TextChangedError
from longembed_index.search.question import Question, check_query
from longembed_index.search.ranking import CANDIDATES, Ranking
from longembed_index.search.runs import PASSAGE_WORDS
from longembed_index.search.sentences import SentenceCache
from longembed_st.base.fork_gate import ForkSafeLock
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.document import Context, Document
    from longembed_index.search.dense import DenseQuery, Vectors, VectorsInMemory
    from longembed_index.search.runs import RunScores
    from longembed_index.store.protocol import LexicalIndex, Store, Where
    from longembed_st.base.reranking import Reranker, WindowScores

T = TypeVar("T")

FEW = 1_000
"""Of so many documents, the words of all are scored."""

TRIES = 20
"""How often a search is repeated because a document that it finds was changed meanwhile."""

_RERANKED_AT_ONCE = 4
"""Documents between two reports: long ones take seconds each."""


class _Turns:
    """Lets as many searches compute at once as there are processors.

    More would be slower together: they would hand the interpreter's lock to one another.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew: other threads do not exist in a forked child."""
        self._free = threading.BoundedSemaphore(os.cpu_count() or 1)

    def __enter__(self) -> None:
        self._free.acquire()

    def __exit__(self, *_: object) -> None:
        self._free.release()


_turns = _Turns()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_turns.renew)


class Searcher:
    """Answers questions from a store.

    Threads may share it, and a forked child may go on using it: what it keeps are arrays, read anew
    when the store has another generation.

    Args:
        store: The store.
        words: Returns the words of the store's documents, brought up to date with the store; called
            once in each search that needs them, unless the store has words of its own.
        budget: The most bytes of vectors that are kept in memory, of documents and of sentences.
    """

    def __init__(
        self, store: Store, words: Callable[[], LexicalIndex], *, budget: int = BUDGET
    ) -> None:
        self._store, self._words, self._budget = store, words, budget
        self._sentences = SentenceCache(store, budget)
        self._filtered = FilteredDocuments(store)
        self._counted: tuple[int, int] = (-1, 0)
        self._vectors: tuple[int, VectorsInMemory] | None = None
        self._too_large: int | None = None
        self._lock = ForkSafeLock()

    @property
    def documents(self) -> int:
        """Return how many documents the store has; counted once for each generation."""
        generation, counted = self._store.generation, self._counted
        if counted[0] != generation:
            self._counted = counted = (generation, len(self._store))
        return counted[1]

    def search(
        self,
        question: Question,
        vector: Vectors | None,
        k: int = 5,
        *,
        plain: Vectors | None = None,
        passages: int = 1,
        passage_words: int = PASSAGE_WORDS,
        where: Where | None = None,
        ranking: Ranking | None = None,
        reranker: Reranker | None = None,
        candidates: int = CANDIDATES,
        on_read: Callable[[int, int], None] | None = None,
    ) -> list[Hit]:
        """Return the documents that answer a question, best first; copies of a text count once.

        `vector` and `plain` are the question as vectors to compare with documents, shape
        (dimensions,), and with sentence units, shape (width,); without `plain`, both are the same.
        Neither is needed if the ranking is by words alone. The other arguments are those of
        `Index.search`.

        Raises:
            ConfigError: If an argument cannot be used, or no document has a key of the filter.
            StoreError: If the store or its words cannot be read.
        """
        for name, value, least in (
            ("k", k, 1),
            ("passages", passages, 0),
            ("passage_words", passage_words, 1),
        ):
            if not isinstance(value, Integral) or value < least:
                raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")
        if reranker is not None:
            check_query(question.text)
        most = k if reranker is None else max(k, candidates)
        hits = self._ask(
            lambda query: query.hits(most, passages, passage_words),
            *(question, vector, plain, where, ranking),
        )
        if hits is None:
            return []
        if reranker is not None:
            hits = rerank(hits, question.text, reranker, passages=passages, on_read=on_read)[:k]
        return hits

    def context(
        self,
        question: Question,
        vector: Vectors | None,
        measure: Measure,
        *,
        plain: Vectors | None = None,
        where: Where | None = None,
        ranking: Ranking | None = None,
    ) -> Context:
        """Return the passages that fill a budget, of all documents; arguments as for `search`.

        Raises:
            ConfigError: For the same reasons as `search`.
            StoreError: For the same reasons as `search`.
        """

        def candidates(query: Query) -> list[tuple[Document, RunScores, float]]:
            scores, groups = query.best(DOCUMENTS)
            runs = query.runs_of(groups)
            return [
                (group.record.document, runs[group.record.id], float(scores.totals[group.row]))
                for group in groups
                if group.record.id in runs
            ]

        best = self._ask(candidates, question, vector, plain, where, ranking)
        return fill(best or [], measure)

    def _ask(
        self,
        ask: Callable[[Query], T],
        question: Question,
        vector: Vectors | None,
        plain: Vectors | None,
        where: Where | None,
        ranking: Ranking | None,
    ) -> T | None:
        """Return the answer to a query; None if no document meets the filter."""
        with _turns:
            for _ in range(TRIES):
                query = self._query(question, vector, plain, where, ranking or Ranking())
                with suppress(TextChangedError):
                    return None if query is None else ask(query)
        raise StoreError(
            f"a document was changed during each of {TRIES} searches. Search again when the other "
            "process has written it"
        )

    def _query(
        self,
        question: Question,
        vector: Vectors | None,
        plain: Vectors | None,
        where: Where | None,
        ranking: Ranking,
    ) -> Query | None:
        """Return a query that can be asked; None if no document meets the filter."""
        if vector is None and ranking.mode != "lexical":
            raise ConfigError(f"mode {ranking.mode!r} needs the question as a vector, too")
        among = self._filtered.select(where) if where else None
        if where and not among:
            check_keys(self._store, where)
            return None
        documents = self.documents
        dense, words = None, None
        if vector is not None and ranking.mode != "lexical":
            vector = _unit(vector)
            plain = vector if plain is None else _unit(plain)
            dense = self._dense_query(vector, documents)
        if ranking.mode != "dense" or question.phrases:
            words = self._store.lexical() or self._words()
        return Query(
            store=self._store,
            question=question,
            dense=dense,
            plain=None if dense is None else plain,
            words=words,
            lexical=None if words is None else words.query(question.text),
            weight={"hybrid": ranking.weight, "dense": 1.0, "lexical": 0.0}[ranking.mode],
            documents=documents,
            all_ids=list(self._filtered.select({})) if documents <= FEW else None,
            where=where,
            among=among,
            sentences=self._sentences,
        )

    def _dense_query(self, vector: Vectors, documents: int) -> DenseQuery:
        fits = documents * vector.nbytes <= self._budget
        vectors = self._vectors_in_memory() if fits else None
        return StoreQuery(self._store, vector) if vectors is None else MemoryQuery(vectors, vector)

    def _vectors_in_memory(self) -> VectorsInMemory | None:
        """Return all vectors of the store as it is now; None if they do not fit."""
        kept = self._vectors
        if kept is not None and kept[0] == self._store.generation:
            return kept[1]
        with self._lock:
            generation, documents = self._store.generation, len(self._store)
            if self._vectors is not None and self._vectors[0] == generation:
                return self._vectors[1]
            # What did not fit is not read again as long as there are as many documents.
            if self._too_large is not None and documents >= self._too_large:
                return None
            # Both generations together would take twice the budget.
            self._vectors = kept = None
            vectors = load_vectors(self._store, self._budget)
            self._too_large = documents if vectors is None else None
            self._vectors = None if vectors is None else (generation, vectors)
            return vectors


def rerank(
    hits: Sequence[Hit],
    query: str,
    reranker: Reranker,
    *,
    passages: int = 1,
    on_read: Callable[[int, int], None] | None = None,
) -> list[Hit]:
    """Order hits anew, best first, each with the windows that the reranker scores highest.

    Args:
        hits: From a search. Documents without a visible text keep their order behind all others.
        query: The query.
        reranker: A cross-encoder or a late-interaction model.
        passages: The most passages of each; those of a document that the reranker reads in one
            window stay as they are.
        on_read: Called after some documents, with how many were read and are to be read.
    """
    readable = [hit for hit in hits if hit.document.text.strip()]
    scored: list[Hit] = []
    for start in range(0, len(readable), _RERANKED_AT_ONCE):
        batch = readable[start : start + _RERANKED_AT_ONCE]
        windows = reranker.score_windows(query, [hit.document.text for hit in batch])
        scored += [_with_scores(*pair, passages) for pair in zip(batch, windows, strict=True)]
        if on_read is not None:
            on_read(len(scored), len(readable))
    scored.sort(key=lambda hit: -hit.score)
    return [*scored, *(hit for hit in hits if not hit.document.text.strip())]


def _with_scores(hit: Hit, windows: WindowScores, passages: int) -> Hit:
    chosen = hit.passages
    if passages and len(windows.spans) > 1:
        chosen = joined_windows(windows.spans, windows.scores, hit.document, passages)
    scores = {**hit.scores, "search": hit.score, "reranker": windows.score}
    return replace(hit, score=windows.score, scores=scores, passages=chosen)


def _unit(vector: Vectors) -> Vectors:
    vector = np.asarray(vector, dtype=np.float32)
    return vector / max(float(np.linalg.norm(vector)), np.finfo(np.float32).tiny)
