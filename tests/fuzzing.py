"""Property tests: few examples, always the same, in the normal suite; many new ones in `slow`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

FEW, MANY = 30, 1000

few_or_many = pytest.mark.parametrize(
    "examples", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.slow)]
)


def check(claim: Callable[..., None], examples: int, **inputs: SearchStrategy) -> None:
    """Call a claim, which asserts, with examples of its inputs."""
    settings(max_examples=examples, derandomize=examples <= FEW)(given(**inputs)(claim))()
