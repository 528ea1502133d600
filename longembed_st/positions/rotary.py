"""Rotary position embeddings that rotate by a method's positions and frequencies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from longembed_st.positions.kernels import Rotation
from longembed_st.positions.method import Frequencies

GLOBAL_LAYERS, LOCAL_LAYERS = "full_attention", "sliding_attention"
"""The layer types of models that mix global and local attention; local layers are left alone."""


@dataclass(frozen=True)
class RotaryPositions:
    """The positions and frequencies by which the tokens of a batch are rotated.

    Attributes:
        positions: Shape (n,), or None to hand queries and keys to the attention unrotated.
        frequencies: The angles of one position step.
    """

    positions: Tensor | None
    frequencies: Frequencies

    def rotation_at(self, positions: Tensor, like: Tensor) -> Rotation:
        """Compute the rotation of tokens to some positions (Su et al., 2021, equation 34).

        Args:
            positions: Shape (n,); integer, fractional or negative.
            like: A tensor of the wanted device and dtype.
        """
        inverse = self.frequencies.inverse.to(like.device)
        # In double precision, a fractional position far out keeps its fraction.
        angles = (positions.to(like.device).double()[:, None] * inverse.double()).float()
        factor = self.frequencies.attention_factor
        return Rotation(
            (angles.cos() * factor).to(like.dtype), (angles.sin() * factor).to(like.dtype)
        )

    def cos_sin(self, n: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Compute cosine and sine in the form of the rotary embeddings of transformers.

        Args:
            n: Tokens.
            like: A tensor of the wanted device and dtype.

        Returns:
            Two tensors of shape (1, n, d), each half the same.
        """
        if self.positions is None:
            ones = like.new_ones(1, n, 2 * len(self.frequencies.inverse))
            return ones, torch.zeros_like(ones)
        cos, sin = self.rotation_at(self.positions, like)
        return torch.cat([cos, cos], dim=-1)[None], torch.cat([sin, sin], dim=-1)[None]


_rotation: ContextVar[RotaryPositions | None] = ContextVar("longembed_rotation", default=None)


@contextmanager
def rotating(rotation: RotaryPositions) -> Iterator[None]:
    """Set what every `MethodRotary` uses inside the block, in this thread."""
    token = _rotation.set(rotation)
    try:
        yield
    finally:
        _rotation.reset(token)


class MethodRotary(nn.Module):
    """Replaces a model's rotary embedding; it computes the same, except inside `rotating`."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.original = original

    def forward(
        self, x: Tensor, position_ids: Tensor, layer_type: str | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute cosine and sine for one kind of layer.

        Args:
            x: Hidden states, for device and dtype.
            position_ids: Shape (batch, n) or (1, n).
            layer_type: The kind of layer, in models that mix them.

        Returns:
            Cosine and sine, each of shape (batch or 1, n, rotary width).
        """
        rotation = _rotation.get()
        if rotation is None or layer_type == LOCAL_LAYERS:
            kind = () if layer_type is None else (layer_type,)
            return self.original(x, position_ids, *kind)
        return rotation.cos_sin(position_ids.shape[-1], x)


def own_frequencies(rotary: nn.Module, config: PretrainedConfig) -> Frequencies:
    """Return the frequencies that a model was trained with, in its global layers."""
    parameters = config.rope_parameters
    prefix = ""
    if GLOBAL_LAYERS in parameters:
        parameters, prefix = parameters[GLOBAL_LAYERS], f"{GLOBAL_LAYERS}_"
    return Frequencies(
        # A copy, and not `inv_freq`, which dynamic schemes change while they read.
        inverse=getattr(rotary, f"{prefix}original_inv_freq").float().clone(),
        base=parameters["rope_theta"],
        attention_factor=getattr(rotary, f"{prefix}attention_scaling"),
        rope_type=parameters["rope_type"],
    )
