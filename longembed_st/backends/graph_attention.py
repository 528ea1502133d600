"""The attention of models that are traced: masks are made of a row of keys, inside the graph.

It is registered with transformers when this module is imported. What the graph computes is ordinary
attention, which engines know as one operation; only layers that see near tokens alone, and causal
ones that are padded, get a dense mask, for want of an operation that knows better.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from longembed_st.positions.attention import is_causal_layer

GRAPH_ATTENTION = "longembed_graph"
"""The name under which transformers knows `graph_attention`."""


def graph_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention over the keys that are there, for tracing.

    Args:
        module: The attention layer.
        query: Shape (batch, heads, n, head width).
        key: Shape (batch, key heads, n, head width).
        value: Shape (batch, key heads, n, head width).
        attention_mask: Shape (batch, 1, 1, n), whether each key is a token; None if all are.
        is_causal: Whether tokens see only what precedes them; default as the layer says.
        sliding_window: In local layers, w: tokens see others at a distance below w.
        **kwargs: What else transformers passes to its own function.

    Returns:
        The attention output, shape (batch, n, heads, head width), and None.
    """
    causal = is_causal_layer(module, is_causal)
    if attention_mask is not None and (causal or sliding_window is not None):
        places = torch.arange(query.shape[2])
        ahead = places[None, :] - places[:, None]
        seen = ahead <= 0 if causal else ahead == ahead
        if sliding_window is not None:
            seen = seen & (ahead.abs() < sliding_window)
        # Padding sees itself, so that no row is empty, which would give NaN.
        attention_mask = (attention_mask & seen) | (ahead == 0)
        causal = False
    output, _ = sdpa_attention_forward(
        module, query, key, value, attention_mask, is_causal=causal, **kwargs
    )
    return output, None


def no_mask(attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """The mask as it was given; `graph_attention` knows the rest.

    Args:
        attention_mask: Of four dimensions, or None.
        **kwargs: As for transformers' `sdpa_mask`.
    """
    return attention_mask


AttentionInterface.register(GRAPH_ATTENTION, graph_attention)
AttentionMaskInterface.register(GRAPH_ATTENTION, no_mask)
