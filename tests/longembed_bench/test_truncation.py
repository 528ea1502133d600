"""The signature of truncation."""

from __future__ import annotations

import pytest

from longembed_bench.truncation import TruncationError, refuse_truncation, truncation_window

LENGTHS = [256 * 2**power for power in range(8)]


def curve(*scores: float) -> dict[int, float]:
    return dict(zip(LENGTHS, scores, strict=False))


def test_the_published_signature() -> None:
    window = truncation_window(curve(1, 1, 0.62, 0.2, 0.14, 0.04, 0.04, 0.02))
    assert 400 <= window <= 700


@pytest.mark.parametrize("window", [256, 512, 1024, 2048])
def test_the_exact_curve_of_every_window(window) -> None:
    found = truncation_window({n: min(1.0, window / n) for n in LENGTHS})
    assert found == pytest.approx(window, rel=0.1)


def test_a_model_that_is_not_perfect_on_short_texts() -> None:
    assert truncation_window(curve(0.72, 0.36, 0.18, 0.1, 0.04)) == pytest.approx(256, rel=0.2)


@pytest.mark.parametrize(
    "scores",
    [
        (1, 1, 1, 1, 1, 1, 1, 1),
        (1, 1, 1, 1, 1, 1, 1, 0.5),  # One length beyond the window may be anything.
        (1, 1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
        (1, 0.1, 0.02, 0.02, 0.02),
        (0.3, 0.15, 0.08, 0.04, 0.02),
        (1, 0.5),
        (),
    ],
)
def test_other_curves(scores) -> None:
    assert truncation_window(curve(*scores)) is None


def test_the_explanation_says_what_to_look_at() -> None:
    scores = curve(1, 0.5, 0.25, 0.12, 0.06)
    with pytest.raises(TruncationError, match=r"gte: .*only 12% of the longest .*method pcw"):
        refuse_truncation("gte", scores, 0.12)
    with pytest.raises(TruncationError, match="a smaller limit inside it"):
        refuse_truncation("gte", scores, 1.0)
    refuse_truncation("gte", curve(1, 1, 1, 1, 1), 1.0)
