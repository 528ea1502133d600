"""Texts of few words, the first ones frequent, for tests of searches by words."""

from __future__ import annotations

import random

NAMES = [f"w{n}" for n in range(300)]


def text(seed: int, words: int) -> str:
    """So many words, the same for the same seed."""
    draw = random.Random(seed)
    weights = [1 / (n + 1) for n in range(len(NAMES))]
    return " ".join(draw.choices(NAMES, weights, k=words))
