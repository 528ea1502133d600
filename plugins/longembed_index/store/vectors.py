"""Vectors as stores keep and compare them, those of sentence units with half a byte a number.

The units of a document are near each other. What is stored is their mean with a byte a number, how
far they spread around it, and of each unit the difference from the mean in 15 steps.
docs/RESULTS.md has what that loses.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.document import Units
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.document import Record

_UNIT_TOLERANCE = 1e-3
"""Vectors whose length differs less from 1 keep their values, so that a copy of one is equal."""

_STEPS = 7
"""A difference is stored as -7 to 7 times the scale of its unit and the spread of its place."""

_COUNTS = struct.Struct("<IBBB")
_SCALES = struct.Struct("<Iff")
_SIZES = {1: "<u1", 2: "<u2", 4: "<u4"}


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


def pack_units(units: Units) -> tuple[bytes, bytes]:
    """Return units as bytes: ranges with counts, and vectors, which are rounded."""
    return _pack_places(units), _pack_vectors(np.asarray(units.vectors, dtype=np.float32))


def unpack_units(places: bytes, vectors: bytes) -> Units:
    """Return the units of `pack_units`."""
    ranges, counts = _unpack_places(places)
    values = _unpack_vectors(vectors, len(counts))
    values[counts == 0] = 0
    return Units(ranges, counts, values)


def _pack_places(units: Units) -> bytes:
    """Gaps between units, their lengths and counts, each in as few bytes as the largest takes."""
    edges = np.asarray(units.ranges, dtype=np.int64).reshape(-1)
    steps = np.diff(edges, prepend=0)
    columns = [steps[0::2], steps[1::2], np.asarray(units.counts, dtype=np.int64)]
    sizes = [_size_of(int(column.max(initial=0))) for column in columns]
    data = [
        column.astype(_SIZES[size]).tobytes() for column, size in zip(columns, sizes, strict=True)
    ]
    return b"".join([_COUNTS.pack(len(columns[0]), *sizes), *data])


def _size_of(largest: int) -> int:
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4


def _unpack_places(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    number, *sizes = _COUNTS.unpack_from(data)
    columns, start = [], _COUNTS.size
    for size in sizes:
        columns.append(np.frombuffer(data, _SIZES[size], number, start).astype(np.int64))
        start += size * number
    gaps, lengths, counts = columns
    edges = np.cumsum(np.stack([gaps, lengths], axis=1).reshape(-1))
    return edges.reshape(-1, 2), counts


def _pack_vectors(vectors: NDArray[np.float32]) -> bytes:
    number, width = vectors.shape
    if not vectors.size:
        return b""
    mean = vectors.mean(axis=0)
    mean_step = float(np.abs(mean).max()) / 127 or 1.0
    means = np.rint(mean / mean_step).astype(np.int8)
    differences = vectors - means * np.float32(mean_step)
    spread = np.sqrt((differences**2).mean(axis=0))
    spread_step = float(spread.max()) / 255 or 1.0
    spreads = np.clip(np.ceil(spread / spread_step), 1, 255).astype(np.uint8)
    differences /= spreads * np.float32(spread_step)
    scales = (np.abs(differences).max(axis=1) / _STEPS).astype("<f2")
    steps = scales.astype(np.float32)[:, None]
    numbers = np.rint(differences / np.where(steps > 0, steps, 1))
    shifted = np.zeros((number, width + width % 2), dtype=np.uint8)
    shifted[:, :width] = np.clip(numbers, -_STEPS, _STEPS) + _STEPS
    half = shifted.shape[1] // 2
    pairs = shifted[:, :half] << 4 | shifted[:, half:]
    header = _SCALES.pack(width, mean_step, spread_step)
    return b"".join([header, means.tobytes(), spreads.tobytes(), scales.tobytes(), pairs.tobytes()])


def _unpack_vectors(data: bytes, number: int) -> NDArray[np.float32]:
    if not data:
        return np.empty((number, 0), dtype=np.float32)
    width, mean_step, spread_step = _SCALES.unpack_from(data)
    start = _SCALES.size
    means = np.frombuffer(data, np.int8, width, start) * np.float32(mean_step)
    spreads = np.frombuffer(data, np.uint8, width, start + width) * np.float32(spread_step)
    scales = np.frombuffer(data, "<f2", number, start + 2 * width).astype(np.float32)
    pairs = np.frombuffer(data, np.uint8, offset=start + 2 * width + 2 * number)
    half = (width + 1) // 2
    pairs = pairs.reshape(number, half)
    vectors = np.empty((number, width), dtype=np.float32)
    vectors[:, :half] = pairs >> 4
    vectors[:, half:] = (pairs & 15)[:, : width - half]
    vectors -= _STEPS
    vectors *= scales[:, None]
    vectors *= spreads
    vectors += means
    return vectors
