"""Vectors of documents and spans, compared with a query: all of them in memory, or some at a time.

All are compared, exactly, if they fit into `BUDGET`. Of a larger store, the spans of candidates are
compared: of the documents whose own vectors are nearest, and of those that the words name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from longembed_index.search.scores import (
    Floats,
    Scores,
    best_first,
    best_in_segments,
    dense_scores,
)
from longembed_index.store.vectors import unit_vectors

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store, Where

BUDGET = 2**30
"""Bytes of vectors that are kept in memory: 700,000 vectors of 384 numbers."""

_BLOCK = 256
"""Documents whose spans are in one array: one array of all would take its size twice when made."""

Vectors = NDArray[np.float32]


class DenseQuery(Protocol):
    """One query's vector, put to the vectors of documents and spans."""

    def candidates(self, most: int, among: Sequence[str] | None, where: Where | None) -> list[str]:
        """Return ids of the nearest documents.

        Args:
            most: How many.
            among: Only these documents; all without it.
            where: The filter that led to `among`.
        """

    def scores(self, ids: Sequence[str]) -> Scores:
        """Return the scores of documents; NaN for those that do not exist."""

    def spans(self, document_id: str) -> tuple[NDArray[np.int64], Vectors] | None:
        """Return ranges and cosines of a document's spans; None if it has none."""


@dataclass(frozen=True)
class VectorsInMemory:
    """All vectors of a store, as it was at one generation.

    Attributes:
        ids: The documents, sorted.
        vectors: Their vectors, shape (documents, dimensions).
        blocks: Vectors of the spans, document after document, in several arrays.
        owners: The rows in `ids` of the documents that have spans, in the order of their spans.
        bounds: Where the spans of each of these begin, and where the last ones end.
        ranges: Characters of the spans, shape (spans, 2).
    """

    ids: list[str]
    vectors: Vectors
    blocks: list[Vectors]
    owners: NDArray[np.int64]
    bounds: NDArray[np.int64]
    ranges: NDArray[np.int64]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Return the row of each document."""
        return {document_id: row for row, document_id in enumerate(self.ids)}

    @cached_property
    def places(self) -> dict[str, int]:
        """Return the place in `owners` of each document that has spans."""
        return {self.ids[row]: place for place, row in enumerate(self.owners)}

    def query(self, vector: Vectors, plain: Vectors) -> DenseQuery:
        """Put a query.

        Args:
            vector: For documents; a unit vector, shape (dimensions,).
            plain: For spans; a unit vector, shape (width,).
        """
        return _MemoryQuery(self, vector, plain)


def load_vectors(store: Store, budget: int = BUDGET) -> VectorsInMemory | None:
    """Read all vectors of a store; return None if they take more bytes than the budget.

    Args:
        store: The store.
        budget: The most bytes.

    Raises:
        StoreError: If the store cannot be read.
    """
    ids, vectors = store.vectors()
    size = vectors.nbytes
    if size > budget:
        return None
    if ids != sorted(ids):
        order = sorted(range(len(ids)), key=ids.__getitem__)
        ids, vectors = [ids[row] for row in order], vectors[order]
    rows = {document_id: row for row, document_id in enumerate(ids)}
    blocks: list[Vectors] = []
    pending: list[Vectors] = []
    owners: list[int] = []
    ranges = [np.empty((0, 2), dtype=np.int64)]
    for document_id, spans in store.units():
        size += spans.ranges.nbytes + spans.vectors.nbytes
        if size > budget:
            return None
        # Another process may have written since the ids were read.
        if document_id in rows and len(spans.ranges):
            owners.append(rows[document_id])
            ranges.append(spans.ranges)
            pending.append(unit_vectors(spans.vectors))
        if len(pending) >= _BLOCK:
            blocks.append(np.concatenate(pending))
            pending.clear()
    if pending:
        blocks.append(np.concatenate(pending))
    return VectorsInMemory(
        ids,
        vectors,
        blocks,
        np.array(owners, dtype=np.int64),
        np.cumsum([len(each) for each in ranges], dtype=np.int64),
        np.concatenate(ranges),
    )


class _MemoryQuery:
    def __init__(self, memory: VectorsInMemory, vector: Vectors, plain: Vectors) -> None:
        self._memory = memory
        own = memory.vectors @ vector if memory.ids else np.empty(0, dtype=np.float32)
        self._spans = np.concatenate([own[:0], *(block @ plain for block in memory.blocks)])
        best = np.full(len(own), np.nan, dtype=np.float32)
        best[memory.owners] = best_in_segments(self._spans, memory.bounds[:-1])
        self._scores = dense_scores(own, best)

    def candidates(self, most: int, among: Sequence[str] | None, where: Where | None) -> list[str]:
        memory, totals = self._memory, self._scores.totals
        if among is None:
            return [memory.ids[row] for row in best_first(totals, most)]
        rows = np.array([memory.rows[key] for key in among if key in memory.rows], dtype=np.int64)
        return [memory.ids[row] for row in rows[best_first(totals[rows], most)]]

    def scores(self, ids: Sequence[str]) -> Scores:
        # The row behind the last stands for documents that do not exist.
        missing = len(self._memory.ids)
        rows = [self._memory.rows.get(document_id, missing) for document_id in ids]

        def select(values: Floats) -> Floats:
            return np.append(values, np.float32(np.nan))[rows]

        parts = {name: select(values) for name, values in self._scores.parts.items()}
        return Scores(select(self._scores.totals), parts)

    def spans(self, document_id: str) -> tuple[NDArray[np.int64], Vectors] | None:
        place = self._memory.places.get(document_id)
        if place is None:
            return None
        start, end = self._memory.bounds[place], self._memory.bounds[place + 1]
        return self._memory.ranges[start:end], self._spans[start:end]


class StoreQuery:
    """A query's vector, put to a store that is too large for memory.

    Args:
        store: The store.
        vector: For documents; a unit vector, shape (dimensions,).
        plain: For spans; a unit vector, shape (width,).
    """

    def __init__(self, store: Store, vector: Vectors, plain: Vectors) -> None:
        self._store, self._vector, self._plain = store, vector, plain
        self._spans: dict[str, tuple[NDArray[np.int64], Vectors]] = {}

    def candidates(self, most: int, among: Sequence[str] | None, where: Where | None) -> list[str]:
        """Return ids of the documents whose own vectors are nearest."""
        return [document_id for document_id, _ in self._store.nearest(self._vector, most, where)]

    def scores(self, ids: Sequence[str]) -> Scores:
        """Return the scores of documents; NaN for those that do not exist."""
        existing, vectors = self._store.vectors(ids)
        cosines = dict(zip(existing, vectors @ self._vector, strict=True)) if existing else {}
        for document_id, spans in self._store.units(ids):
            self._spans[document_id] = (spans.ranges, unit_vectors(spans.vectors) @ self._plain)
        best = {document_id: cosines.max() for document_id, (_, cosines) in self._spans.items()}
        document, best_span = (
            np.array([values.get(document_id, np.nan) for document_id in ids], dtype=np.float32)
            for values in (cosines, best)
        )
        return dense_scores(document, best_span)

    def spans(self, document_id: str) -> tuple[NDArray[np.int64], Vectors] | None:
        """Return ranges and cosines of the spans of a document whose scores were asked for."""
        return self._spans.get(document_id)
