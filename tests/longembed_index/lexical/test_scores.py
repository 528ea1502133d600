"""BM25 of documents, passages and ranges, against loops."""

from __future__ import annotations

import random

import numpy as np
import pytest
from reference.bm25 import bm25 as slow_bm25
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


@pytest.fixture(scope="module")
def texts() -> dict[str, np.ndarray]:
    draw = random.Random(0)
    weights = [1 / (number + 1) for number in range(50)]
    return {
        f"id {length}": np.array(draw.choices(range(50), weights, k=length), dtype=np.int32)
        for length in LENGTHS
    }


@pytest.fixture(scope="module")
def weights(texts) -> QueryWeights:
    """The weights of the terms 0, 3 (twice) and 40."""
    parts = [part for text in texts.values() for part in passages(text.tolist(), WINDOW, STEP)]
    numbers, times = np.array([0, 3, 40], dtype=np.int32), np.array([1.0, 2.0, 1.0])

    def idf_among(among) -> np.ndarray:
        containing = [float(sum(number in set(text) for text in among)) for number in numbers]
        return idf(np.array(containing), len(among))

    documents = [text.tolist() for text in texts.values()]
    return QueryWeights(
        numbers,
        times * idf_among(documents),
        times * idf_among(parts),
        sum(map(len, documents)) / len(documents),
        sum(map(len, parts)) / len(parts),
    )


def test_documents_and_best_passages_are_scored_by_the_formula(texts, weights) -> None:
    query = [0, 3, 3, 40]
    documents = slow_bm25(query, [text.tolist() for text in texts.values()])
    owners, parts = zip(
        *(
            (key, part)
            for key, text in texts.items()
            for part in passages(text.tolist(), WINDOW, STEP)
        ),
        strict=True,
    )
    of_parts = slow_bm25(query, parts)
    scores = document_scores(weights, list(texts.items()))
    assert list(scores) == list(texts)
    for (key, score), expected in zip(scores.items(), documents, strict=True):
        best = max(of_part for owner, of_part in zip(owners, of_parts, strict=True) if owner == key)
        assert score.document == pytest.approx(expected, abs=1e-9)
        assert score.passage == pytest.approx(best, abs=1e-9)
    assert scores["id 2000"].passage > 0
    assert document_scores(weights, []) == {}


def test_ranges_are_scored_as_passages(texts, weights) -> None:
    # Each term is one character, so that places and characters are the same.
    text = texts["id 2000"]
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


def test_idf_is_never_negative() -> None:
    assert (idf(np.arange(1.0, 11), 10) > 0).all()
