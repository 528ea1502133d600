"""Windows of terms; test_query.py has the scores of documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference.bm25 import passages

from longembed_index.lexical.scores import (
    STEP,
    WINDOW,
    QueryWeights,
    WordScores,
    document_scores,
    idf,
    window_count,
    window_lengths,
    windows_of,
)

LENGTHS = [0, 1, 124, 125, 126, 249, 250, 251, 374, 375, 376, 377, 500, 2_000]


def test_the_highest_counts_terms_that_no_document_has() -> None:
    numbers = np.array([0, 3], dtype=np.int32)
    known = QueryWeights(numbers, np.array([1.0, 2.0]), np.array([0.5, 2.0]), 800.0, 200.0)
    assert known.highest == WordScores(3.0, 2.5)
    assert replace(known, missing=WordScores(4.0, 5.0)).highest == WordScores(7.0, 7.5)


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
