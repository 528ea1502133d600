"""The signature that truncation leaves on a passkey curve.

A model that reads only the first w tokens finds a needle at a random depth of an n-token document
with probability w / n. A curve that is flat up to a window and then falls like that, with hardly a
needle found behind the window, does not come from the method: the documents were cut before
the model saw them. Many published results have it unnoticed.

The curve alone does not prove it: a method that finds few needles anywhere can have it by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from longembed_bench.synthetic import QUERIES
from longembed_st.command.display import percent
from longembed_st.errors import LongEmbedError

Hits = Sequence[tuple[float, bool]]
"""For each query the depth of its needle, from 0 to 1, and whether its document came first."""

STANDARD_ERRORS = 2.5
ROUNDING = 0.03
"""Room for chance finds, and for words that are not exactly 0.75 of a token."""

ENOUGH_BEYOND = 2
"""Lengths beyond the window that the curve must cover before it says anything."""

WORTH_A_LOOK = 0.5
"""A model that is wrong more often than this on the shortest texts has no curve to read."""

WINDOWS_PER_OCTAVE = 8

BEYOND = 1.2
"""A needle so many windows deep was cut off, however words turn into tokens."""

CHANCE_FINDS = 0.05
"""The share of needles that may be found unseen."""


class TruncationError(LongEmbedError):
    """A passkey curve says that documents were cut before the model read them."""


def truncation_window(accuracy: Mapping[int, float], queries: int = QUERIES) -> int | None:
    """Return the window that a passkey curve looks cut at.

    Args:
        accuracy: Accuracy, from 0 to 1, by document length in tokens.
        queries: How many queries each accuracy is the mean of.

    Returns:
        The window in tokens whose w / n fits best, if it fits within chance at every length; None
        if no window does, or the curve is too short to tell.
    """
    lengths = sorted(accuracy)
    if len(lengths) <= ENOUGH_BEYOND or accuracy[lengths[0]] < WORTH_A_LOOK:
        return None
    # The window lies inside the measured lengths, with enough of them beyond it.
    octaves = math.log2(lengths[-ENOUGH_BEYOND - 1] * 1.9 / lengths[0])
    steps = int(octaves * WINDOWS_PER_OCTAVE) + 1
    windows = [round(lengths[0] * 2 ** (step / WINDOWS_PER_OCTAVE)) for step in range(steps)]
    fitting = [window for window in windows if _fits(accuracy, window, queries)]
    return min(fitting, key=lambda window: _misfit(accuracy, window), default=None)


def share_found_beyond(hits: Mapping[int, Hits], window: int) -> float:
    """Return the share found of the needles that a cut at a window would have hidden."""
    beyond = [
        hit
        for length, row in hits.items()
        for depth, hit in row
        if depth * length > BEYOND * window
    ]
    return float(np.mean(beyond)) if beyond else 0.0


def refuse_truncation(label: str, hits: Mapping[int, Hits], share_read: float) -> None:
    """Raise an error if a passkey curve says that documents were cut unseen.

    Args:
        label: What was measured.
        hits: By document length in tokens.
        share_read: The share of the longest documents' tokens that the model was given, from 0 to
            1.

    Raises:
        TruncationError: If it says so; the message says what to do.
    """
    accuracy = {length: float(np.mean([hit for _, hit in row])) for length, row in hits.items()}
    window = truncation_window(accuracy)
    if window is None:
        return
    share = share_found_beyond(hits, window)
    if share > CHANCE_FINDS:
        return
    curve = ", ".join(f"{length:,}: {accuracy[length]:.2f}" for length in sorted(accuracy))
    reading = (
        "although the whole text was given to the model; look for a smaller limit inside it"
        if share_read == 1
        else f"and only {percent(share_read)} of the longest documents was read; extend the window "
        "with method pcw or a larger max_seq_length"
    )
    raise TruncationError(
        f"{label}: the passkey curve ({curve}) is that of documents cut at about {window:,} "
        f"tokens ({share:.0%} of the needles behind them were found), {reading}. Its scores "
        "on longer documents would say nothing about the method. Measure it all the same with "
        "--allow-truncation"
    )


def _expected(accuracy: Mapping[int, float], window: int) -> dict[int, float]:
    """Return what a model scores that is cut at a window, and as right on the shortest texts."""
    plateau = accuracy[min(accuracy)]
    return {length: plateau * min(1.0, window / length) for length in accuracy}


def _fits(accuracy: Mapping[int, float], window: int, queries: int) -> bool:
    beyond = [length for length in accuracy if length > BEYOND * window]
    if len(beyond) < ENOUGH_BEYOND:
        return False
    for length, expected in _expected(accuracy, window).items():
        chance = math.sqrt(expected * (1 - expected) / queries)
        if abs(accuracy[length] - expected) > STANDARD_ERRORS * chance + ROUNDING:
            return False
    return True


def _misfit(accuracy: Mapping[int, float], window: int) -> float:
    expected = _expected(accuracy, window)
    return sum((accuracy[length] - expected[length]) ** 2 for length in accuracy)
