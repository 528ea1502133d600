"""Weights stored in half precision that are computed with in single precision."""

from __future__ import annotations

from typing import Any

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


def is_emulated(dtype: torch.dtype) -> bool:
    """Whether this processor is known to have no instructions for a half precision.

    Args:
        dtype: One of `HALVES`.
    """
    # What torch tells of x86; of other processors, and by earlier versions, nothing is known.
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if told.get("architecture") != "x86_64":
        return False
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    return not (told.get(f"avx512_{kind}") or told.get(f"amx_{kind}"))
