"""The best documents of a retriever, in the order of a model that reads them again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

import longembed_st as le
from longembed_bench.late_and_sparse import document_vectors, maxsim, query_vectors
from longembed_bench.retrievers import Cost, Retriever, Scores
from longembed_bench.vectors import digest


class Reranked(Retriever):
    """The best documents in a new order; all others stay behind them, in the old one.

    Args:
        first: Finds the documents.
        reranker: A cross-encoder or a late-interaction model.
        candidates: How many documents it reads for a query.
    """

    def __init__(self, first: Retriever, reranker: Any, candidates: int) -> None:
        self.revision = digest(first.revision, le.fingerprint(reranker), str(candidates))
        self._first, self._reranker, self._candidates = first, reranker, candidates

    def read(self, documents: Sequence[str]) -> None:
        """Read the documents."""
        self._documents = documents
        self._first.on_text = self.on_text
        self._first.read(documents)

    def score(self, queries: Sequence[str]) -> Scores:
        """Return scores whose order is the new one."""
        first = self._first.score(queries)
        order = np.argsort(-first, axis=1, kind="stable")
        # A document is read once for all queries that it is a candidate of.
        queries_of = defaultdict(list)
        for query, places in enumerate(order[:, : self._candidates]):
            for place in places:
                queries_of[int(place)].append(query)
        scores = np.full_like(first, -np.inf)
        late = isinstance(self._reranker, le.LongMultiVectorEncoder)
        vectors = query_vectors(self._reranker, queries) if late else []
        for place, asked in queries_of.items():
            document = self._documents[place]
            if late:
                theirs = document_vectors(self._reranker, document)
                scores[asked, place] = maxsim([vectors[query] for query in asked], theirs)
            else:
                for query in asked:
                    (found,) = self._reranker.score_windows(queries[query], [document])
                    scores[query, place] = found.score
        least = scores.min(axis=1, initial=np.inf, where=np.isfinite(scores))
        for query, places in enumerate(order[:, self._candidates :]):
            scores[query, places] = least[query] - 1 - np.arange(len(places))
        return scores

    def cost(self) -> Cost:
        """Return what it took to read the documents the first time."""
        return self._first.cost()
