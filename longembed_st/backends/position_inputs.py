"""Where positions enter a model's graph, so that one graph serves every method.

A graph that is compiled once cannot be hooked. In the place of the module that turns positions into
vectors stands an position_input: what that module gives is worked out by torch before each pass, at the
positions that the method wants, and handed to the graph as one of its inputs.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from longembed_st.positions.family import Family
from longembed_st.positions.rotary import GLOBAL_LAYERS, LOCAL_LAYERS


class PositionInput(Protocol):
    """What stands where positions enter."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the graph's inputs."""

    def install(self, model: PreTrainedModel) -> None:
        """Take the place of the module, in a copy that is going to be traced.

        Args:
            model: The copy.
        """

    def set_values(self, values: list[Tensor]) -> None:
        """Let the copy read these from now on.

        Args:
            values: One for each of the names.
        """

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """What the module gives for one pass.

        Args:
            model: The extended model itself, within what its hook prepares.
            inputs: Those of the pass.

        Returns:
            One for each of the names, all of shape (1, n, width).
        """


class NoPositionInput:
    """For models of which nothing is known: their positions are part of the graph."""

    names: tuple[str, ...] = ()

    def install(self, model: PreTrainedModel) -> None:
        """Leave the copy alone."""

    def set_values(self, values: list[Tensor]) -> None:
        """Nothing enters."""

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Nothing."""
        return []


class TableInput(nn.Module):
    """In the place of a learned position embedding.

    Args:
        family: Of the model.
    """

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
        """Let the copy add these vectors."""
        (self.current,) = values

    def forward(self, position_ids: Tensor) -> Tensor:
        """What was given, whatever is asked for."""
        assert self.current is not None
        return self.current

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """The rows of the table, or what lies between them."""
        positions = inputs.get("position_ids")
        if positions is None:
            n = inputs["input_ids"].shape[1]
            positions = torch.arange(n)[None] + self.family.first_position(model)
        return [model.get_submodule(self._path)(positions[:1])]


class RotaryInput(nn.Module):
    """In the place of a rotary embedding.

    Args:
        layer_types: The kinds of layers that turn in their own way; none where all are alike.
    """

    def __init__(self, layer_types: tuple[str, ...]) -> None:
        super().__init__()
        self._types: tuple[str | None, ...] = layer_types or (None,)
        kinds = [f"_{one}" if one else "" for one in self._types]
        self.names = tuple(f"{part}{kind}" for kind in kinds for part in ("cos", "sin"))
        self.current: dict[str | None, tuple[Tensor, Tensor]] = {}

    def install(self, model: PreTrainedModel) -> None:
        """Take the place of the rotary embedding."""
        model.set_submodule("rotary_emb", self)

    def set_values(self, values: list[Tensor]) -> None:
        """Let the copy turn by these cosines and sines."""
        pairs = zip(values[::2], values[1::2], strict=True)
        self.current = dict(zip(self._types, pairs, strict=True))

    def forward(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """What was given for a kind of layer."""
        return self.current[layer_type]

    def values(self, model: PreTrainedModel, inputs: dict[str, Any]) -> list[Tensor]:
        """Cosine and sine, kind of layer by kind of layer."""
        rotary = model.get_submodule("rotary_emb")
        positions = torch.arange(inputs["input_ids"].shape[1])[None]
        like = torch.empty(0, dtype=torch.float32)
        found = []
        for one in self._types:
            kind = () if one is None else (one,)
            found += [turn.float() for turn in rotary(like, positions, *kind)]
        return found


def position_input_of(model: PreTrainedModel, family: Family) -> PositionInput:
    """Where positions enter a model.

    Args:
        model: Any.
        family: Its family.
    """
    match family.encoding:
        case "absolute":
            return TableInput(family)
        case "rotary":
            kinds = getattr(model.config, "layer_types", None) if family.local_layers else None
            named = [one for one in (GLOBAL_LAYERS, LOCAL_LAYERS) if one in (kinds or ())]
            return RotaryInput(tuple(named))
        case _:
            return NoPositionInput()
