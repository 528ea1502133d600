"""Windows of terms, and the scores of ranges; test_query.py has those of documents."""

from __future__ import annotations

import numpy as np
import pytest
from reference.bm25 import passages

from longembed_index.lexical.scores import (
    STEP,
    WINDOW,
    QueryWeights,
    document_scores,
    idf,
    range_scores,
    window_count,
    window_lengths,
    window_ranges,
    windows_of,
)

LENGTHS = [0, 1, 124, 125, 126, 249, 250, 251, 374, 375, 376, 377, 500, 2_000]


def test_ranges_are_scored_as_passages() -> None:
    draw = np.random.default_rng(0)
    text = draw.integers(0, 50, 2_000).astype(np.int32)
    numbers = np.array([0, 3, 40], dtype=np.int32)
    weights = QueryWeights(numbers, np.ones(3), np.array([0.5, 2.0, 1.0]), 800.0, 200.0)
    # Each term is one character, so that places and characters are the same.
    starts = np.arange(len(text), dtype=np.int32)
    ranges = window_ranges(starts, len(text))
    scores = range_scores(weights, text, starts, ranges)
    best = document_scores(weights, [("", text)])[""].passage
    assert scores.max() == pytest.approx(best)
    assert range_scores(weights, text, starts, [(7, 7)]).tolist() == [0]
    assert range_scores(weights, text, starts, []).shape == (0,)
    assert range_scores(weights, text[:0], starts[:0], [(0, 5)]).tolist() == [0]


@pytest.mark.parametrize("length", LENGTHS)
def test_windows_are_those_of_the_reference(length) -> None:
    expected = [len(part) for part in passages(["x"] * length, WINDOW, STEP)]
    assert window_lengths(length).tolist() == expected
    assert window_count(length) == len(expected)


def test_windows_of_several_texts_are_counted_on() -> None:
    lengths = np.array(LENGTHS)
    windows, indices, sizes = windows_of(lengths, np.arange(lengths.sum()))
    assert np.bincount(windows, minlength=len(sizes)).tolist() == sizes.tolist()
    texts = np.repeat(np.arange(len(lengths)), lengths)
    owners = np.repeat(np.arange(len(lengths)), window_count(lengths))
    assert (owners[windows] == texts[indices]).all()


def test_no_documents_have_no_scores() -> None:
    weights = QueryWeights(np.zeros(0, np.int32), np.zeros(0), np.zeros(0), 0.0, 0.0)
    assert document_scores(weights, []) == {}
    assert document_scores(weights, [("", np.zeros(0, np.int32))]) == {"": (0.0, 0.0)}


def test_idf_is_never_negative() -> None:
    assert (idf(np.arange(1.0, 11), 10) > 0).all()
