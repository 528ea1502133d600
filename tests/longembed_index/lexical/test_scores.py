"""Windows of terms; test_query.py has the scores of documents."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from longembed_index.lexical.packing import (
    pack_starts,
    pack_terms,
    unpack_starts,
    unpack_terms,
)
from longembed_index.lexical.scores import (
    STEP,
    WINDOW,
    distinct,
    window_count,
    windows_of,
)

LENGTHS = [0, 1, STEP, STEP + 1, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + STEP, 2_000]


def test_windows_of_several_texts_are_counted_on() -> None:
    lengths = np.array(LENGTHS)
    texts = np.repeat(np.arange(len(lengths)), lengths)
    positions = np.concatenate([np.arange(length) for length in LENGTHS])
    windows, indices, sizes = windows_of(lengths, texts, positions)
    assert np.bincount(windows, minlength=len(sizes)).tolist() == sizes.tolist()
    owners = np.repeat(np.arange(len(lengths)), window_count(lengths))
    assert (owners[windows] == texts[indices]).all()
    # What is beside the row is in no passage.
    assert windows_of(np.array([5]), np.array([0]), np.array([5]))[0].tolist() == []


@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**31 - 1))))
def test_what_is_packed_is_unpacked(numbers) -> None:
    values = np.array(numbers, dtype=np.int32)
    assert unpack_starts(pack_starts(values)).tolist() == numbers
    assert unpack_terms(pack_terms(values)).tolist() == sorted(set(numbers))
    assert distinct(values).tolist() == sorted(set(numbers))
