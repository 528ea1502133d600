"""Weights stored in half precision that are computed with in single precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

WIDENED_FROM = "widened_from"
"""Name of the attribute that holds the half precision of widened weights."""

HALVES = (torch.float16, torch.bfloat16)


def half_precision_of(module: nn.Module) -> torch.dtype | None:
    """Return the half precision of most parameters of a module; None if there is none."""
    dtypes = [parameter.dtype for parameter in module.parameters()]
    return next((half for half in HALVES if 2 * dtypes.count(half) > len(dtypes)), None)


def is_widened(tensor: Tensor, narrow: torch.dtype) -> bool:
    """Whether a tensor in single precision has no more digits than half precision."""
    return tensor.dtype == torch.float32 and torch.equal(tensor, tensor.to(narrow).float())


def is_emulated(dtype: torch.dtype) -> bool:
    """Whether this processor is known to have no instructions for a half precision.

    Args:
        dtype: One of `HALVES`.
    """
    # Earlier versions of torch say nothing, and later ones only of x86.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("architecture") != "x86_64":
        return False
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    return not (capabilities.get(f"avx512_{kind}") or capabilities.get(f"amx_{kind}"))
