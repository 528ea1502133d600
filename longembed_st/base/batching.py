"""From a list of lengths to batches that fit a token budget."""

from __future__ import annotations

from collections.abc import Sequence

PADDABLE_LENGTH = 512
"""Tokens. Up to here the mask of a padded batch is small; beyond, texts only share a batch with
texts of their own length, which needs neither padding nor mask."""

LEAST_FILL = 0.75
"""Least share of real tokens in the shortest row of a padded batch."""

ALWAYS_PADDABLE_LENGTH = 48
"""Tokens. Padding texts this short costs less than another call of the model."""

FIXED_WIDTH = 64
"""Tokens. On MPS, the width of a padded batch is a multiple of it."""


def padded_width(longest: int, window: int, device_type: str) -> int:
    """Return the width of a batch that is padded.

    MPS compiles a graph for each shape, so there are few widths; elsewhere a batch is as wide as
    its longest row.

    Args:
        longest: Tokens of the longest row.
        window: The original window, which padding does not exceed.
        device_type: The type of the torch device.
    """
    if device_type != "mps":
        return longest
    return max(longest, min(window, -(-longest // FIXED_WIDTH) * FIXED_WIDTH))


def token_budget_batches(
    lengths: Sequence[int], token_budget: int, paddable_length: int = PADDABLE_LENGTH
) -> list[list[int]]:
    """Group texts of like length so that no padded batch exceeds a token budget.

    Args:
        lengths: Tokens of each text.
        token_budget: Most tokens of a batch, padding counted. A longer text forms its own batch.
        paddable_length: Longest text, in tokens, that others may be padded to.

    Returns:
        Lists of indices into `lengths`, longest texts first, each index exactly once.
    """
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if (
            batches
            and _can_share(lengths[index], longest, paddable_length)
            and longest * (len(batches[-1]) + 1) <= token_budget
        ):
            batches[-1].append(index)
        else:
            batches.append([index])
            longest = lengths[index]
    return batches


def _can_share(length: int, longest: int, paddable_length: int) -> bool:
    if length == longest:
        return True
    if longest > paddable_length:
        return False
    return longest <= ALWAYS_PADDABLE_LENGTH or length >= LEAST_FILL * longest
