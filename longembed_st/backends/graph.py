"""From a model of transformers to a graph of OpenVINO that computes any of its passes."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from longembed_st.backends.graph_attention import GRAPH_ATTENTION
from longembed_st.backends.position_inputs import position_input_of
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.errors import ModelError
from longembed_st.positions.family import Family

if TYPE_CHECKING:
    from openvino import Model

VERSION = 1
"""To be raised when the same model begins to give another graph, so that all are made again."""

Masking = Literal["keys", "causal", "stock"]
"""How a graph masks padding: by a row of keys for each text, with memory linear in its length; not
at all, as no token sees those behind it; or by the dense mask of transformers."""

_MASK = "attention_mask"


class GraphInputs:
    """The inputs of a model's graph."""

    def __init__(self, model: PreTrainedModel, family: Family) -> None:
        self.masking: Masking = masking_of(model, family)
        self.position_input = position_input_of(model, family)
        own = ["input_ids"]
        if self.masking != "causal":
            own.append(_MASK)
        if "token_type_ids" in inspect.signature(model.forward).parameters:
            own.append("token_type_ids")
        self.names = [*own, *self.position_input.names]

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Compute the inputs of one pass, in the order of `names`.

        Args:
            model: The extended model, within what its hook prepares.
            inputs: Those of the transformers model.
        """
        ids = inputs["input_ids"]
        mask = inputs.get(_MASK)
        mask = torch.ones_like(ids) if mask is None else mask
        types = inputs.get("token_type_ids")
        values = {
            "input_ids": ids,
            _MASK: mask if self.masking == "stock" else mask[:, None, None].bool(),
            "token_type_ids": torch.zeros_like(ids) if types is None else types,
            **dict(
                zip(
                    self.position_input.names,
                    self.position_input.values(model, inputs),
                    strict=True,
                )
            ),
        }
        return [values[name] for name in self.names]


class _Traceable(nn.Module):
    """A copy of a model that takes its positions as inputs."""

    def __init__(self, model: PreTrainedModel, inputs: GraphInputs) -> None:
        super().__init__()
        copy = copy_sharing_weights(model)
        copy.set_attn_implementation("sdpa" if inputs.masking == "stock" else GRAPH_ATTENTION)
        inputs.position_input.install(copy)
        self.model = copy
        self.inputs = inputs
        parameters = inspect.signature(model.forward).parameters
        self.always = {"use_cache": False} if "use_cache" in parameters else {}

    def forward(self, *tensors: Tensor) -> Tensor:
        inputs = dict(zip(self.inputs.names, tensors, strict=True))
        position_input = self.inputs.position_input
        position_input.set_values([inputs.pop(name) for name in position_input.names])
        return self.model(**inputs, **self.always).last_hidden_state


def traced(model: PreTrainedModel, inputs: GraphInputs, example: list[Tensor]) -> Model:
    """Trace a model into a graph.

    Args:
        model: The extended model; stays as it is.
        inputs: The inputs of the graph.
        example: Inputs of some pass; others may have other lengths.

    Raises:
        ModelError: If OpenVINO cannot trace it.
    """
    import openvino

    try:
        with torch.no_grad(), quiet():
            traceable = _Traceable(model, inputs).eval()
            graph = openvino.convert_model(traceable, example_input=tuple(example))
    # Tracing fails with errors of every kind.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"OpenVINO cannot compute models of type {model.config.model_type!r} ({reason}). Load "
            "it with backend='torch'"
        ) from error
    for port, name in zip(graph.inputs, inputs.names, strict=True):
        port.get_tensor().set_names({name})
    return graph


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings about traced branches: every new graph is compared with the model."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def masking_of(model: PreTrainedModel, family: Family) -> Masking:
    """Return how the graph of a model masks padding."""
    # Where logits can be scaled, the attention function can be replaced.
    if "logn" not in family.capabilities:
        return "stock"
    local = family.local_layers or getattr(model.config, "sliding_window", None)
    causal = getattr(model.config, "is_causal", True) and any(
        getattr(module, "is_causal", False) for module in model.modules()
    )
    return "causal" if causal and not local else "keys"
