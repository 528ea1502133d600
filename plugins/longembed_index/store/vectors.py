"""Vectors as stores keep and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.document import Record

_UNIT_TOLERANCE = 1e-3
"""Vectors whose length differs less from 1 keep their values, so that a copy of one is equal."""


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return vectors scaled to length 1, shape (vectors, dimensions); zero vectors stay zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    lengths[(np.abs(lengths - 1) < _UNIT_TOLERANCE) | (lengths == 0)] = 1
    return np.asarray(vectors / lengths, dtype=np.float32)


def record_vectors(records: Sequence[Record], dimensions: int | None = None) -> NDArray[np.float32]:
    """Return the unit vectors of records, shape (records, dimensions).

    Args:
        records: At least one.
        dimensions: The numbers of a vector that a store has already; None if it has none.

    Raises:
        StoreError: If a vector is not finite, or has other dimensions.
    """
    dimensions = dimensions or len(records[0].vector)
    for record in records:
        name = escaped(record.document.id)
        vector = np.asarray(record.vector)
        if vector.shape != (dimensions,):
            raise StoreError(
                f"the vector of {name} has the shape {vector.shape}, others in the store have "
                f"({dimensions},). Write the vectors of one model only"
            )
        units = [] if record.units is None else [record.units.vectors]
        if not all(np.isfinite(values).all() for values in (vector, *units)):
            raise StoreError(f"a vector of {name} has values that are not finite numbers")
    return unit_vectors(np.stack([np.asarray(record.vector) for record in records]))


def nearest_vectors(
    ids: Sequence[str], vectors: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> list[tuple[str, float]]:
    """Return ids and cosine similarities of the k nearest vectors, best first, ties in order.

    Args:
        ids: The ids of the vectors.
        vectors: Unit vectors, shape (ids, dimensions).
        query: Shape (dimensions,), of any length.
        k: How many.
    """
    if not len(ids) or k < 1:
        return []
    scores = vectors @ unit_vectors(query)
    best = np.arange(len(scores))
    if k < len(scores):
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        best = np.flatnonzero(scores >= least)
    best = best[np.argsort(-scores[best], kind="stable")][:k]
    return [(ids[place], float(scores[place])) for place in best.tolist()]
