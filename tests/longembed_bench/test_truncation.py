"""The signature of truncation."""

from __future__ import annotations

import random

import pytest

from longembed_bench.truncation import (
    TruncationError,
    refuse_truncation,
    share_found_beyond,
    truncation_window,
)

LENGTHS = [256 * 2**power for power in range(8)]


def curve(*scores: float) -> dict[int, float]:
    return dict(zip(LENGTHS, scores, strict=False))


def test_curves_of_a_model_that_is_cut() -> None:
    published = truncation_window(curve(1, 1, 0.62, 0.2, 0.14, 0.04, 0.04, 0.02))
    assert 400 <= published <= 700
    for window in (256, 2048):
        found = truncation_window({n: min(1.0, window / n) for n in LENGTHS})
        assert found == pytest.approx(window, rel=0.1)
    # Not perfect on short texts.
    assert truncation_window(curve(0.72, 0.36, 0.18, 0.1, 0.04)) == pytest.approx(256, rel=0.2)


def test_other_curves() -> None:
    for scores in (
        (1, 1, 1, 1, 1, 1, 1, 0.5),  # One length beyond the window may be anything.
        (1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
        (1, 0.1, 0.02, 0.02, 0.02),
        (0.3, 0.15, 0.08, 0.04, 0.02),
        (1, 0.5),
        (),
    ):
        assert truncation_window(curve(*scores)) is None, scores


DEPTHS = [(number + 0.5) / 50 for number in range(50)]


def cut_at(window: int, *lengths: int) -> dict[int, list[tuple[float, bool]]]:
    """A model that finds what lies in its window, and nothing else."""
    return {n: [(depth, depth * n < window) for depth in DEPTHS] for n in lengths}


def found_anywhere(window: int, *lengths: int) -> dict[int, list[tuple[float, bool]]]:
    """A model with the same curve that finds as many at random depths."""
    shuffled = random.Random(0)
    return {
        n: list(
            zip(shuffled.sample(DEPTHS, 50), [i * n < 50 * window for i in range(50)], strict=True)
        )
        for n in lengths
    }


def test_the_explanation_says_what_to_look_at() -> None:
    hits = cut_at(256, *LENGTHS[:5])
    with pytest.raises(TruncationError, match=r"gte: .*only 12\.0% of the longest .*method pcw"):
        refuse_truncation("gte", hits, 0.12)
    with pytest.raises(TruncationError, match="a smaller limit inside it"):
        refuse_truncation("gte", hits, 1.0)
    refuse_truncation("gte", cut_at(9999, *LENGTHS[:5]), 1.0)


def test_finds_at_all_depths_are_no_truncation() -> None:
    hits = found_anywhere(256, *LENGTHS[:5])
    accuracy = {n: sum(hit for _, hit in row) / len(row) for n, row in hits.items()}
    assert truncation_window(accuracy) == pytest.approx(256, rel=0.2)
    refuse_truncation("gte", hits, 1.0)


def test_the_share_found_beyond_a_window() -> None:
    hits = {100: [(0.1, True), (0.5, False)], 1000: [(0.05, True), (0.5, True), (0.9, False)]}
    assert share_found_beyond(hits, 100) == 0.5
    assert share_found_beyond(hits, 1000) == 0.0
