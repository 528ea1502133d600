"""How a method's positions enter a model: one hook for each kind of position encoding.

Hooks act on the modules of an extended copy of the model, never on the original, and only while a
text is read that does not fit the original window.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from longembed_st.positions.attention import SelfExtension
from longembed_st.positions.family import Family
from longembed_st.positions.kernels import SelfExtendRotations, self_extend_positions
from longembed_st.positions.method import Context, Method
from longembed_st.positions.rotary import MethodRotary, RotaryPositions, own_frequencies, rotating
from longembed_st.positions.tables import FractionalEmbedding


class Hook:
    """Makes a model read one batch at a method's positions; one of unknown structure as it is."""

    def reading(
        self, model: PreTrainedModel, inputs: dict[str, Any], method: Method, context: Context
    ) -> AbstractContextManager[None]:
        """Prepare one forward pass.

        Args:
            model: The extended copy.
            inputs: The model's inputs, of texts of one length n; may be added to.
            method: The extension method.
            context: The original and the extended window.

        Returns:
            A context to run the model in.
        """
        return nullcontext()


class TableHook(Hook):
    """For learned position embeddings: sets position ids, which may be fractional."""

    def __init__(self, model: PreTrainedModel, family: Family) -> None:
        table = cast(nn.Embedding, family.table(model))
        self.first_position = family.first_position(model)
        model.set_submodule(cast(str, family.position_table), FractionalEmbedding.sharing(table))

    def reading(
        self, model: PreTrainedModel, inputs: dict[str, Any], method: Method, context: Context
    ) -> AbstractContextManager[None]:
        """Set the method's positions as `position_ids`."""
        ids = inputs["input_ids"]
        positions = method.position_ids(ids.shape[1], context)
        if positions is not None:
            places = self.first_position + within_table(positions, context)
            inputs["position_ids"] = places.to(ids.device).expand(ids.shape)
        return nullcontext()


class RotaryHook(Hook):
    """For rotary embeddings: positions, frequencies, or unrotated queries and keys."""

    def __init__(self, model: PreTrainedModel) -> None:
        rotary = model.get_submodule("rotary_emb")
        if isinstance(rotary, MethodRotary):
            rotary = rotary.original
        self.frequencies = own_frequencies(rotary, model.config)
        model.set_submodule("rotary_emb", MethodRotary(rotary))

    def reading(
        self, model: PreTrainedModel, inputs: dict[str, Any], method: Method, context: Context
    ) -> AbstractContextManager[None]:
        """Rotate by the method's positions and frequencies, or inside the attention."""
        n = inputs["input_ids"].shape[1]
        frequencies = method.frequencies(n, context, self.frequencies) or self.frequencies
        grouping = method.grouping(n, context)
        if grouping is not None:
            rotation = RotaryPositions(None, frequencies)
            window = grouping.neighbor_window
            like = torch.empty(0, dtype=model.dtype, device=inputs["input_ids"].device)
            rotations = (
                rotation.rotation_at(positions, like)
                for positions in self_extend_positions(n, grouping.group_size, window)
            )
            inputs["self_extension"] = SelfExtension(window, SelfExtendRotations(*rotations))
            return rotating(rotation)
        positions = method.position_ids(n, context)
        return rotating(
            RotaryPositions(torch.arange(n) if positions is None else positions, frequencies)
        )


def install_hook(model: PreTrainedModel, family: Family) -> Hook:
    """Prepare an extended copy of a model."""
    match family.encoding:
        case "absolute":
            return TableHook(model, family)
        case "rotary":
            return RotaryHook(model)
        case _:
            return Hook()


def within_table(positions: Tensor, context: Context) -> Tensor:
    """Limit fractional positions to the learned ones.

    Interpolation by s leaves the last `s - 1` tokens of a text that fills L_t beyond the last
    learned position, L_o - 1. The paper names no right neighbour there: they get the last vector.
    """
    if not positions.is_floating_point():
        return positions
    return positions.clamp(max=context.original - 1)
