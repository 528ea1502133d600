"""The attention of traced models: it makes masks of a row of keys, inside the graph.

It is registered with transformers when this module is imported. The graph has ordinary attention,
which engines know as one operation; only local layers, and causal ones of padded texts, get a dense
mask, as there is no operation for them.
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
    """Attend to the keys that are tokens, for tracing.

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
        positions = torch.arange(query.shape[2])
        distance = positions[None, :] - positions[:, None]
        visible = distance <= 0 if causal else distance == distance
        if sliding_window is not None:
            visible = visible & (distance.abs() < sliding_window)
        # Padding sees itself, so that no row is empty, which would give NaN.
        attention_mask = (attention_mask & visible) | (distance == 0)
        causal = False
    output, _ = sdpa_attention_forward(
        module, query, key, value, attention_mask, is_causal=causal, **kwargs
    )
    return output, None


def no_mask(attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """Return the mask as it is; `graph_attention` does the rest.

    Args:
        attention_mask: Of four dimensions, or None.
        **kwargs: The same as for transformers' `sdpa_mask`.
    """
    return attention_mask


AttentionInterface.register(GRAPH_ATTENTION, graph_attention)
AttentionMaskInterface.register(GRAPH_ATTENTION, no_mask)
