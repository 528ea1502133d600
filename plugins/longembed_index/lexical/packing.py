"""What is stored of a document beside the lists of terms, in few bytes."""

from __future__ import annotations

import zlib

import numpy as np

from longembed_index.lexical.scores import Terms, distinct

_LARGE = 255
"""Stands for a step that does not fit into a byte."""


def pack_terms(terms: Terms) -> bytes:
    """Pack each of some terms once."""
    return zlib.compress(np.diff(distinct(terms), prepend=0).astype("<i4").tobytes(), level=1)


def unpack_terms(packed: bytes) -> Terms:
    """Return the terms, ascending."""
    return np.cumsum(np.frombuffer(zlib.decompress(packed), "<i4"), dtype=np.int32)


def pack_starts(starts: Terms) -> bytes:
    """Pack the steps from each start to the next: a byte each, and large ones before them."""
    steps = np.diff(starts, prepend=np.int32(0)).astype("<i4")
    large = steps[(steps < 0) | (steps >= _LARGE)]
    steps[(steps < 0) | (steps >= _LARGE)] = _LARGE
    return np.array([len(large)], "<i4").tobytes() + large.tobytes() + steps.astype("u1").tobytes()


def unpack_starts(packed: bytes) -> Terms:
    """Return the starts, shape (terms,)."""
    count = int(np.frombuffer(packed, "<i4", 1)[0])
    steps = np.frombuffer(packed, "u1", offset=4 + 4 * count).astype(np.int32)
    steps[steps == _LARGE] = np.frombuffer(packed, "<i4", count, offset=4)
    return np.cumsum(steps, dtype=np.int32)
