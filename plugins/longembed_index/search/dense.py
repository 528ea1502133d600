"""Vectors of documents, compared with a query: all of them in memory, or the store's own index.

All are compared, exactly, if they fit into `BUDGET`. A larger store names those that are nearest.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from longembed_index.search.scores import Floats, best_first

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store, Where

BUDGET = 2**30
"""Bytes of vectors that are kept in memory: 700,000 vectors of 384 numbers."""

MANY = 1_000
"""Of more documents that meet a filter, the best are looked for among the best of all."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VectorsInMemory:
    """The vectors of all documents of a store, as it was at one generation.

    Attributes:
        ids: The documents, sorted.
        vectors: Their vectors, shape (documents, dimensions).
    """

    ids: list[str]
    vectors: Vectors

    @cached_property
    def rows(self) -> dict[str, int]:
        """Return the row of each document."""
        return {document_id: row for row, document_id in enumerate(self.ids)}


def load_vectors(store: Store, budget: int = BUDGET) -> VectorsInMemory | None:
    """Read the vectors of all documents; return None if they take more bytes than the budget.

    Raises:
        StoreError: If the store cannot be read.
    """
    ids, vectors = store.vectors()
    if vectors.nbytes > budget:
        return None
    if ids != sorted(ids):
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ids, vectors = [ids[row] for row in order], vectors[order]
    return VectorsInMemory(ids, vectors)


class MemoryQuery:
    """A query's vector, a unit vector, put to the vectors in memory."""

    def __init__(self, memory: VectorsInMemory, vector: Vectors) -> None:
        self._memory = memory
        empty = np.empty(0, dtype=np.float32)
        # The row behind the last stands for documents that do not exist.
        own = memory.vectors @ vector if memory.ids else empty
        self._cosines = np.append(own, np.float32(np.nan))

    def candidates(self, most: int, among: Set[str] | None, where: Where | None) -> list[str]:
        """Return ids of the nearest documents: of all, or among those that meet the filter."""
        memory, cosines = self._memory, self._cosines
        if among is None:
            return [memory.ids[row] for row in best_first(cosines, most)]
        if len(among) > MANY:
            return self._best_inside(most, among)
        rows = np.array([memory.rows[key] for key in among if key in memory.rows], dtype=np.int64)
        return [memory.ids[row] for row in rows[best_first(cosines[rows], most)]]

    def _best_inside(self, most: int, among: Set[str]) -> list[str]:
        size, ids = most, self._memory.ids
        while True:
            size *= 4
            best = [ids[row] for row in best_first(self._cosines, size).tolist()]
            inside = [document_id for document_id in best if document_id in among]
            if len(inside) >= most or size >= len(ids):
                return inside[:most]

    def cosines(self, ids: Sequence[str]) -> Floats:
        """Return the similarities of documents; NaN for those that do not exist."""
        missing = len(self._memory.ids)
        rows = [self._memory.rows.get(document_id, missing) for document_id in ids]
        return np.asarray(self._cosines[rows])


class StoreQuery:
    """A query's vector, put to a store that is too large for memory."""

    def __init__(self, store: Store, vector: Vectors) -> None:
        self._store, self._vector = store, vector

    def candidates(self, most: int, among: Set[str] | None, where: Where | None) -> list[str]:
        """Return ids of the nearest documents: of all, or of those that meet the filter."""
        return [document_id for document_id, _ in self._store.nearest(self._vector, most, where)]

    def cosines(self, ids: Sequence[str]) -> Floats:
        """Return the similarities of documents; NaN for those that do not exist."""
        existing, vectors = self._store.vectors(ids)
        cosines = dict(zip(existing, vectors @ self._vector, strict=True)) if existing else {}
        return np.array([cosines.get(document_id, np.nan) for document_id in ids], np.float32)


DenseQuery = MemoryQuery | StoreQuery
