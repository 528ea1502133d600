"""The attention function that we register with transformers.

It is registered when this module is imported, so that a model that was pickled into another process
finds it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from longembed_st.errors import ModelError
from longembed_st.positions.kernels import (
    SelfExtendRotations,
    banded_attention,
    self_extend_attention,
)

LONG_ATTENTION = "longembed"
"""The name under which transformers knows `long_attention`."""


@dataclass(frozen=True)
class SelfExtension:
    """The parameters of SelfExtend inside the attention.

    Attributes:
        neighbor_window: w, in tokens.
        rotations: Rotations of queries and keys, which arrive unrotated.
    """

    neighbor_window: int
    rotations: SelfExtendRotations


def logn_scale(n: int, original: int) -> float:
    """Compute `max(1, log n / log L_o)` (Su, 2021; LongEmbed, appendix B)."""
    return max(1.0, math.log(max(n, 1)) / math.log(original))


def long_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    logn: float = 1.0,
    self_extension: SelfExtension | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Compute exact attention without a dense mask, with log-n scaling and SelfExtend if given.

    Args:
        module: The attention layer.
        query: Shape (batch, heads, n, head width).
        key: Shape (batch, key heads, n, head width).
        value: Shape (batch, key heads, n, head width).
        attention_mask: None, or for padded texts a mask of shape (batch, 1, n, n).
        scaling: Multiplies the logits; default `head width ** -0.5`.
        is_causal: Whether tokens see only what precedes them; default as the layer says.
        sliding_window: In local layers, w: tokens see others at a distance below w.
        logn: Multiplies the logits of global layers once more, for all texts of the batch: in
            local layers a token sees no more others than before.
        self_extension: How to group relative positions in global layers.
        dropout: Share of attention weights to drop in training.
        **kwargs: What else transformers passes to its own function.

    Returns:
        The attention output, shape (batch, n, heads, head width), and None.

    Raises:
        ModelError: If dropout, or with SelfExtend a gradient, is asked of our own kernels, or if
            SelfExtend meets a mask.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    if sliding_window is None:
        scaling *= logn
    causal = is_causal_layer(module, is_causal)
    grouped = self_extension is not None and sliding_window is None
    if grouped and attention_mask is not None:
        raise ModelError(
            "SelfExtend reads texts of one length, without a mask, and there is one: queries and "
            "keys arrive unrotated, and plain attention would lose all positions"
        )
    if attention_mask is None and sliding_window is not None and sliding_window < query.shape[2]:
        attend = partial(banded_attention, sliding_window=sliding_window)
    elif grouped:
        assert self_extension is not None
        attend = partial(
            self_extend_attention,
            rotations=self_extension.rotations.to(value.dtype),
            neighbor_window=self_extension.neighbor_window,
        )
    else:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            is_causal=causal,
            **kwargs,
        )
    if dropout:
        raise ModelError("attention dropout is not supported here; set attention_dropout to 0")
    # Under autocast, rotated queries and keys have another precision than the values.
    query, key = query.to(value.dtype), key.to(value.dtype)
    output = attend(query, key, value, causal=causal, scaling=scaling)
    return output.transpose(1, 2).contiguous(), None


def is_causal_layer(module: nn.Module, is_causal: bool | None) -> bool:
    """Whether the tokens of a layer see only what precedes them."""
    return bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)


def mask_of_padded_texts(attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """Make a dense mask if texts were padded; `long_attention` does the rest."""
    return None if attention_mask is None else sdpa_mask(attention_mask=attention_mask, **kwargs)


AttentionInterface.register(LONG_ATTENTION, long_attention)
AttentionMaskInterface.register(LONG_ATTENTION, mask_of_padded_texts)
