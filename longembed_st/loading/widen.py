"""Single precision for weights that are stored in half: on a CPU, half takes several times as long.

Nothing is lost by it, and saved models and fingerprints keep the weights as they were stored.
"""

from __future__ import annotations

import logging

from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Transformer

from longembed_st.base.precision import WIDENED_FROM, half_precision_of, is_emulated
from longembed_st.base.reader import input_modules
from longembed_st.base.settings import ModelSettings

logger = logging.getLogger(__name__)

MAX_WIDENED_PARAMETERS = 2_000_000_000
"""A larger model is not widened unless asked: it would fill a laptop's memory."""


def transformers_of(model: BaseModel) -> list[Transformer]:
    """Return the transformers that the routes of a model begin with."""
    return [module for module in input_modules(model) if isinstance(module, Transformer)]


def widen(model: BaseModel, settings: ModelSettings) -> None:
    """Compute in single precision on a CPU, or where the settings ask for it."""
    first = [*transformers_of(model), model[0]][0]
    narrow = half_precision_of(first)
    arguments = settings.model_kwargs.get("model_kwargs") or {}
    wanted = settings.dtype or arguments.keys() & {"dtype", "torch_dtype"}
    if settings.backend == "openvino":
        # Weights enter a graph in single precision, whatever it computes in.
        wanted = "float32"
    on_cpu = model.device.type == "cpu"
    if narrow is None:
        return
    if wanted and wanted != "float32":
        if on_cpu and is_emulated(narrow):
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
    setattr(first, WIDENED_FROM, narrow)
