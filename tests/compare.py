"""How close two vectors are."""

from __future__ import annotations

from typing import Any

import torch


def as_double(values: Any) -> torch.Tensor:
    return torch.as_tensor(values).detach().double()


def cosine(first: Any, second: Any) -> float:
    """Cosine of the angle between two vectors; the smallest, row by row, of two matrices."""
    return float(torch.cosine_similarity(as_double(first), as_double(second), dim=-1).min())


def difference(first: Any, second: Any) -> float:
    """The largest difference between two entries."""
    first, second = as_double(first), as_double(second)
    assert first.shape == second.shape, f"{tuple(first.shape)} against {tuple(second.shape)}"
    return float((first - second).abs().max())
