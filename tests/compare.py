"""How close two vectors are."""

from __future__ import annotations

from typing import Any

import torch


def as_double(values: Any) -> torch.Tensor:
    return torch.as_tensor(values).detach().double()


def cosine(one: Any, other: Any) -> float:
    """Cosine of the angle between two vectors; the smallest, row by row, of two matrices."""
    return float(torch.cosine_similarity(as_double(one), as_double(other), dim=-1).min())


def difference(one: Any, other: Any) -> float:
    """The largest difference between two entries."""
    one, other = as_double(one), as_double(other)
    assert one.shape == other.shape, f"{tuple(one.shape)} against {tuple(other.shape)}"
    return float((one - other).abs().max())
