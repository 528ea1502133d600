"""From a question to the documents that answer it, with their passages."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.lexical.analyzer import guess_language
from longembed_index.search.dense import BUDGET, StoreQuery, load_vectors
from longembed_index.search.passages import RankRanges, with_best_sentence, with_places
from longembed_index.search.query import Query
from longembed_index.search.question import Question, check_query
from longembed_index.search.ranking import CANDIDATES, Ranking
from longembed_index.search.rerank import rerank
from longembed_index.store.filters import check_where
from longembed_index.store.vectors import unit_vectors
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.document import Hit
    from longembed_index.lexical.protocol import LexicalIndex
    from longembed_index.search.dense import DenseQuery, Vectors, VectorsInMemory
    from longembed_index.store.protocol import Store, Where
    from longembed_st.base.reranking import Reranker

FEW = 1_000
"""Of so many documents, the words of all are scored."""

_FILTERS = 32
"""Filters whose documents are remembered until the store changes."""


class Searcher:
    """Answers questions from a store.

    Threads may share it, and a forked child may go on using it: what it keeps are arrays, read anew
    when the store has another generation.

    Args:
        store: The store.
        words: Returns the words of the store's documents, brought up to date with the store; called
            once in each search that needs them, unless the store has words of its own.
        budget: The most bytes of vectors that are kept in memory.
    """

    def __init__(
        self, store: Store, words: Callable[[], LexicalIndex], *, budget: int = BUDGET
    ) -> None:
        self._store, self._words, self._budget = store, words, budget
        self._selected: tuple[int, dict[str, list[str]]] | None = None
        self._vectors: tuple[int, VectorsInMemory] | None = None
        self._too_large: int | None = None
        self._lock, self._lock_process = threading.Lock(), os.getpid()

    def search(
        self,
        question: Question,
        vector: Vectors | None,
        k: int = 5,
        *,
        plain: Vectors | None = None,
        passages: int = 1,
        where: Where | None = None,
        ranking: Ranking | None = None,
        best_sentence: RankRanges | None = None,
        reranker: Reranker | None = None,
        candidates: int = CANDIDATES,
        on_read: Callable[[int, int], None] | None = None,
    ) -> list[Hit]:
        """Return the documents that answer a question, best first; copies of a text count once.

        Args:
            question: What is asked.
            vector: The same as a vector, made as the store's vectors were, shape (dimensions,);
                None if the ranking is by words alone.
            k: The most documents.
            plain: The vector for sentence units, shape (width,); None if it is the same.
            passages: The most passages of each.
            where: A filter of the documents; see `longembed_index.store.filters`.
            ranking: How to rank; the default ranking without it.
            best_sentence: Ranks the sentences of the first passage of each document, so that its
                best one is found. Called only if there is a vector: otherwise the words rank them.
                None if no sentences are wanted.
            reranker: Reads the best documents together with the question, and orders them anew.
            candidates: How many it reads, at least k.
            on_read: Called while it reads, with how many it has read and is to read.

        Raises:
            ConfigError: If an argument cannot be used, or no document has a key of the filter.
            StoreError: If the store or its words cannot be read.
        """
        ranking = ranking or Ranking()
        if k < 1:
            raise ConfigError(f"k must be at least 1, not {k}")
        if passages < 0:
            raise ConfigError(f"passages must be 0 or more, not {passages}")
        if vector is None and ranking.mode != "lexical":
            raise ConfigError(f"mode {ranking.mode!r} needs the question as a vector, too")
        if reranker is not None:
            check_query(question.text)
        among = self._select(where) if where else None
        if where and not among:
            self._check_keys(where)
            return []
        documents = len(self._store)
        dense, words = None, None
        if vector is not None and ranking.mode != "lexical":
            dense = self._dense_query(vector, vector if plain is None else plain, documents)
        if ranking.mode != "dense" or question.phrases:
            words = self._store.lexical() or self._words()
        query = Query(
            store=self._store,
            question=question,
            dense=dense,
            words=words,
            lexical=None if words is None else words.query(question.text),
            weight={"hybrid": ranking.weight, "dense": 1.0, "lexical": 0.0}[ranking.mode],
            documents=documents,
            few=self._select({}) if documents <= FEW else None,
            where=where,
            among=among,
        )
        hits = query.best(k if reranker is None else max(k, candidates), passages)
        if reranker is not None:
            hits = rerank(hits, question.text, reranker, passages=passages, on_read=on_read)[:k]
        if best_sentence is not None:
            if dense is None and query.lexical is not None:
                best_sentence = query.lexical.text_scores
            language = (words and words.language) or self._store.info.language
            # A language that was not stated is kept with the words, which may not be open.
            language = language or guess_language(hit.document.text for hit in hits)
            hits = [with_best_sentence(hit, best_sentence, language) for hit in hits]
        return [with_places(hit) for hit in hits]

    def _select(self, where: Where) -> list[str]:
        """Return ids of the documents that meet a filter, sorted; of all with an empty one."""
        check_where(where)
        generation, key = self._store.generation, repr(where)
        kept = self._selected
        if kept is None or kept[0] != generation or len(kept[1]) >= _FILTERS:
            kept = self._selected = (generation, {})
        if key not in kept[1]:
            kept[1][key] = [entry.id for entry in self._store.entries(where)]
        return kept[1][key]

    def _check_keys(self, where: Where) -> None:
        """Raise `ConfigError` if no document has a key of a filter: a typing error, mostly."""
        known = {key for entry in self._store.entries() for key in entry.fields}
        unknown = sorted(where.keys() - known)
        if unknown and known:
            raise ConfigError(
                f"no document has the key {unknown[0]!r}; there are {', '.join(sorted(known))}"
            )

    def _dense_query(self, vector: Vectors, plain: Vectors, documents: int) -> DenseQuery:
        vector, plain = unit_vectors(np.asarray(vector)), unit_vectors(np.asarray(plain))
        fits = documents * vector.nbytes <= self._budget
        vectors = self._vectors_in_memory() if fits else None
        return (
            StoreQuery(self._store, vector, plain)
            if vectors is None
            else vectors.query(vector, plain)
        )

    def _vectors_in_memory(self) -> VectorsInMemory | None:
        """Return all vectors of the store as it is now; None if they do not fit."""
        kept = self._vectors
        if kept is not None and kept[0] == self._store.generation:
            return kept[1]
        if self._lock_process != os.getpid():
            # A thread of the parent may have held the lock when it forked.
            self._lock, self._lock_process = threading.Lock(), os.getpid()
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
