"""Weights stored in half precision that are computed with in single precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDENED_FROM = "widened_from"
"""Attribute of a transformer whose weights were: their half precision."""

HALVES = (torch.float16, torch.bfloat16)


def half_precision_of(module: nn.Module) -> torch.dtype | None:
    """The half precision that most parameters of a module have; None if they have none.

    Args:
        module: Any.
    """
    found = [parameter.dtype for parameter in module.parameters()]
    return next((dtype for dtype in HALVES if 2 * found.count(dtype) > len(found)), None)


def is_widened(tensor: Tensor, narrow: torch.dtype) -> bool:
    """Whether a tensor in single precision has no more digits than half precision.

    Args:
        tensor: Any.
        narrow: The half precision.
    """
    return tensor.dtype == torch.float32 and torch.equal(tensor, tensor.to(narrow).float())
