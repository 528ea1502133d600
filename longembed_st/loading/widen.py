"""Single precision for weights that are stored in half: on a CPU, half takes several times as long.

Nothing is lost by it, and saved models and fingerprints keep the weights as they were stored.
"""

from __future__ import annotations

import logging
from typing import Any, cast

import torch
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Transformer
from torch import nn

from longembed_st.base.reader import input_modules
from longembed_st.base.settings import ModelSettings

logger = logging.getLogger(__name__)

HALVES = (torch.float16, torch.bfloat16)

MAX_WIDENED_PARAMETERS = 2_000_000_000
"""A larger model is not widened unless asked: it would fill a laptop's memory."""


def transformers_of(model: BaseModel) -> list[Transformer]:
    """Return the transformers that the routes of a model begin with."""
    return [module for module in input_modules(model) if isinstance(module, Transformer)]


def widen(model: BaseModel, settings: ModelSettings) -> None:
    """Compute in single precision on a CPU, or where the settings ask for it."""
    first = [*transformers_of(model), model[0]][0]
    narrow = _half_precision_of(first)
    if narrow is None:
        return
    arguments = settings.model_kwargs.get("model_kwargs") or {}
    wanted = settings.dtype or arguments.keys() & {"dtype", "torch_dtype"}
    if settings.backend == "openvino":
        # Weights enter a graph in single precision, whatever it computes in.
        wanted = "float32"
    on_cpu = model.device.type == "cpu"
    if wanted and wanted != "float32":
        if on_cpu and _is_emulated(narrow):
            logger.warning(
                "this processor has no instructions for %s, which is emulated and slow: leave "
                "dtype out for single precision",
                narrow,
            )
        return
    if not (on_cpu or wanted):
        return
    size = sum(parameter.numel() for parameter in model.parameters())
    if size > MAX_WIDENED_PARAMETERS and not wanted:
        logger.warning(
            "computing in half precision, which is slow on a CPU: single precision would take "
            "%.0f GB. Ask for it with dtype='float32'",
            4 * size / 1e9,
        )
        return
    logger.info("weights stored in half precision are computed with in single precision")
    model.float()
    cast(Any, first).widened_from = narrow


def _half_precision_of(module: nn.Module) -> torch.dtype | None:
    """Return the half precision of most parameters of a module; None if there is none."""
    dtypes = [parameter.dtype for parameter in module.parameters()]
    return next((half for half in HALVES if 2 * dtypes.count(half) > len(dtypes)), None)


def _is_emulated(dtype: torch.dtype) -> bool:
    """Whether this processor is known to have no instructions for a half precision."""
    # Earlier versions of torch say nothing, and later ones only of x86.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities.get("architecture") != "x86_64":
        return False
    kind = "bf16" if dtype == torch.bfloat16 else "fp16"
    return not (capabilities.get(f"avx512_{kind}") or capabilities.get(f"amx_{kind}"))
