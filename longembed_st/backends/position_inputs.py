"""Where positions enter a model's graph, so that one graph serves every method.

A compiled graph cannot be hooked. A position input takes the place of the module that turns
positions into vectors: torch computes the output of that module before each pass, at the positions
that the method wants, and the graph gets it as one of its inputs.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from longembed_st.positions.family import Family
from longembed_st.positions.rotary import GLOBAL_LAYERS, LOCAL_LAYERS


class PositionInput(Protocol):
    """Takes the place of the module where positions enter a model."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs of the graph."""

    def install(self, model: PreTrainedModel) -> None:
        """Take the place of the module, in a copy that is going to be traced."""

    def set_values(self, values: list[Tensor]) -> None:
        """Set what the copy reads from now on.

        Args:
            values: One for each of the names.
        """

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Compute the output of the replaced module for one pass.

        Args:
            model: The extended model itself, within what its hook prepares.
            inputs: Those of the pass.

        Returns:
            One for each of the names, all of shape (1, n, width).
        """


class NoPositionInput:
    """For models of unknown structure: their positions are part of the graph."""

    names: tuple[str, ...] = ()

    def install(self, model: PreTrainedModel) -> None:
        """Leave the copy alone."""

    def set_values(self, values: list[Tensor]) -> None:
        """Do nothing."""

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Return nothing."""
        return []


class TableInput(nn.Module):
    """Takes the place of a learned position embedding."""

    names: tuple[str, ...] = ("position_vectors",)

    def __init__(self, family: Family) -> None:
        super().__init__()
        self.family = family
        self.current: Tensor | None = None

    @property
    def _path(self) -> str:
        return cast(str, self.family.position_table)

    def install(self, model: PreTrainedModel) -> None:
        """Take the place of the table."""
        model.set_submodule(self._path, self)

    def set_values(self, values: list[Tensor]) -> None:
        """Set the vectors that the copy adds."""
        (self.current,) = values

    def forward(self, position_ids: Tensor) -> Tensor:
        """Return the values that were set."""
        assert self.current is not None
        return self.current

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Look the positions up in the table."""
        positions = inputs.get("position_ids")
        if positions is None:
            n = inputs["input_ids"].shape[1]
            positions = torch.arange(n)[None] + self.family.first_position(model)
        return [model.get_submodule(self._path)(positions[:1])]


class RotaryInput(nn.Module):
    """Takes the place of a rotary embedding.

    Args:
        layer_types: The kinds of layers with a rotation of their own; empty if all are alike.
    """

    def __init__(self, layer_types: tuple[str, ...]) -> None:
        super().__init__()
        self._types: tuple[str | None, ...] = layer_types or (None,)
        suffixes = [f"_{kind}" if kind else "" for kind in self._types]
        self.names = tuple(f"{part}{suffix}" for suffix in suffixes for part in ("cos", "sin"))
        self.current: dict[str | None, tuple[Tensor, Tensor]] = {}

    def install(self, model: PreTrainedModel) -> None:
        """Take the place of the rotary embedding."""
        model.set_submodule("rotary_emb", self)

    def set_values(self, values: list[Tensor]) -> None:
        """Set the cosines and sines of the copy."""
        pairs = zip(values[::2], values[1::2], strict=True)
        self.current = dict(zip(self._types, pairs, strict=True))

    def forward(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the values that were set for a kind of layer."""
        return self.current[layer_type]

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Compute cosine and sine for each kind of layer."""
        rotary = model.get_submodule("rotary_emb")
        positions = torch.arange(inputs["input_ids"].shape[1])[None]
        like = torch.empty(0, dtype=torch.float32)
        values: list[Tensor] = []
        for layer_type in self._types:
            kind = () if layer_type is None else (layer_type,)
            values += [tensor.float() for tensor in rotary(like, positions, *kind)]
        return values


def position_input_of(model: PreTrainedModel, family: Family) -> PositionInput:
    """Choose the position input of a model."""
    match family.encoding:
        case "absolute":
            return TableInput(family)
        case "rotary":
            kinds = getattr(model.config, "layer_types", None) if family.local_layers else None
            known = [kind for kind in (GLOBAL_LAYERS, LOCAL_LAYERS) if kind in (kinds or ())]
            return RotaryInput(tuple(known))
        case _:
            return NoPositionInput()
