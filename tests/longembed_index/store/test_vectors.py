"""Sentence units as bytes: exact places, and vectors that are nearly what they were."""

from __future__ import annotations

import numpy as np
from fuzzing import FEW, check
from hypothesis import strategies as st

from longembed_index.document import Units
from longembed_index.store.vectors import pack_units, unpack_units


def units_like(vectors: np.ndarray) -> Units:
    number = len(vectors)
    edges = np.cumsum(np.tile([1, 60], number)).reshape(-1, 2)
    return Units(edges, np.arange(1, number + 1), vectors.astype(np.float32))


def least_cosine(first: np.ndarray, second: np.ndarray) -> float:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / lengths).min())


def test_vectors_keep_their_directions() -> None:
    """However much the units of a document have in common, and however the numbers are spread."""
    for number, width, common in [
        (1, 384, 1),
        (2, 7, 0),
        (7, 384, 30),
        (500, 384, 1),
        (500, 7, 30),
    ]:
        draw = np.random.default_rng(0)
        vectors = draw.normal(size=(number, width)) * draw.uniform(0.1, 3, size=width)
        vectors += common * draw.normal(size=width)
        units = units_like(vectors)
        places, data = pack_units(units)
        stored = unpack_units(places, data)
        assert least_cosine(stored.vectors, units.vectors) > 0.97
        assert len(data) <= number * (width / 2 + 3) + 2 * width + 12
        # What tells them apart is kept, too.
        if number > 2:
            own, kept = (each.vectors - each.vectors.mean(axis=0) for each in (units, stored))
            assert least_cosine(own, kept) > 0.96
        again = unpack_units(*pack_units(stored))
        assert least_cosine(again.vectors, units.vectors) > 0.96


def test_ranges_and_counts_are_exact() -> None:
    numbers = st.lists(st.tuples(*(st.sampled_from([0, 1, 255, 256, 65535, 65536, 10**6]),) * 3))

    def claim(rows) -> None:
        steps = np.array(rows, dtype=np.int64).reshape(-1, 3)
        ranges = np.cumsum(steps[:, :2].reshape(-1)).reshape(-1, 2)
        units = Units(ranges, steps[:, 2], np.ones((len(steps), 3), dtype=np.float32))
        stored = unpack_units(*pack_units(units))
        assert stored.ranges.tolist() == ranges.tolist()
        assert stored.counts.tolist() == steps[:, 2].tolist()
        # A unit without tokens has the vector zero.
        assert stored.vectors[steps[:, 2] == 0].any() is np.False_ or not len(steps)

    check(claim, FEW, rows=numbers)


def test_odd_numbers() -> None:
    """Vectors of zeros, of one number only, huge and tiny ones."""
    for vectors in (np.zeros((3, 4)), np.ones((3, 4)), 1e6 * np.eye(4), 1e-6 * np.eye(4)):
        stored = unpack_units(*pack_units(units_like(vectors))).vectors
        np.testing.assert_allclose(stored, vectors, atol=0.05 * np.abs(vectors).max())
    none = unpack_units(*pack_units(units_like(np.empty((0, 4)))))
    assert (none.ranges.shape, none.counts.shape, len(none.vectors)) == ((0, 2), (0,), 0)
