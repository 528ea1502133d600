"""Sentence units as bytes: vectors as small whole numbers, ranges and counts as differences."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from longembed_index.document import Units

LEVELS = 127
"""A number of a vector is stored as -127 to 127 times the scale of its unit."""

_HEADER = struct.Struct("<IBBB")
_SIZES = {1: "<u1", 2: "<u2", 4: "<u4"}


def pack_units(units: Units) -> tuple[bytes, bytes]:
    """Return the places and the vectors of units as bytes.

    Returns:
        Ranges and counts; and vectors with a scale each, 2 bytes more than numbers.
    """
    return _pack_places(units), _pack_vectors(np.asarray(units.vectors, dtype=np.float32))


def unpack_units(places: bytes, vectors: bytes) -> Units:
    """Return the units of `pack_units`.

    Raises:
        ValueError: If the bytes do not fit together.
    """
    ranges, counts = _unpack_places(places)
    return Units(ranges, counts, _unpack_vectors(vectors, len(counts)))


def rounded(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors as they come back from a store, shape (units, width)."""
    return _unpack_vectors(_pack_vectors(vectors), len(vectors))


def _pack_places(units: Units) -> bytes:
    """Gaps between units, their lengths and counts, each in as few bytes as the largest takes."""
    edges = np.asarray(units.ranges, dtype=np.int64).reshape(-1)
    steps = np.diff(edges, prepend=0)
    columns = [steps[0::2], steps[1::2], np.asarray(units.counts, dtype=np.int64)]
    sizes = [_size_of(int(column.max(initial=0))) for column in columns]
    data = [
        column.astype(_SIZES[size]).tobytes() for column, size in zip(columns, sizes, strict=True)
    ]
    return b"".join([_HEADER.pack(len(columns[0]), *sizes), *data])


def _size_of(largest: int) -> int:
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4


def _unpack_places(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    number, *sizes = _HEADER.unpack_from(data)
    columns, start = [], _HEADER.size
    for size in sizes:
        columns.append(np.frombuffer(data, _SIZES[size], number, start).astype(np.int64))
        start += size * number
    gaps, lengths, counts = columns
    edges = np.cumsum(np.stack([gaps, lengths], axis=1).reshape(-1))
    return edges.reshape(-1, 2), counts


def _pack_vectors(vectors: NDArray[np.float32]) -> bytes:
    largest = np.abs(vectors).max(axis=1, initial=0)
    # The upper half of a float, rounded up: so short that what is read is written without a change.
    scales = ((np.asarray(largest / LEVELS, "<f4").view("<u4") + 0xFFFF) >> 16).astype("<u2")
    steps = _scales(scales)[:, None]
    numbers = np.rint(vectors / np.where(steps > 0, steps, 1)).astype(np.int8)
    return scales.tobytes() + numbers.tobytes()


def _unpack_vectors(data: bytes, number: int) -> NDArray[np.float32]:
    if not number:
        return np.empty((0, 0), dtype=np.float32)
    scales = np.frombuffer(data, "<u2", number)
    numbers = np.frombuffer(data, np.int8, offset=2 * number).reshape(number, -1)
    return np.multiply(numbers, _scales(scales)[:, None], dtype=np.float32)


def _scales(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    return (stored.astype("<u4") << 16).view("<f4")
