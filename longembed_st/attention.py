"""The attention functions that we register with transformers.

They are registered when this module is imported, so that a model that was pickled into another
process finds them there.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

LOGN_SDPA = "longembed_logn_sdpa"
"""Scaled-dot-product attention whose logits grow with the logarithm of the text's length."""


def logn_scale(n: int, original: int) -> float:
    """`max(1, log n / log L_o)` (Su, 2021; LongEmbed, appendix B).

    Args:
        n: Real tokens of one text.
        original: L_o, in tokens.
    """
    return max(1.0, math.log(max(n, 1)) / math.log(original))


def logn_sdpa(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    logn_scales: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Transformers' SDPA attention on queries that are scaled text by text.

    Args:
        module: The attention layer.
        query: Shape (batch, heads, n, head width).
        key: Shape (batch, key heads, n, head width).
        value: Shape (batch, key heads, n, head width).
        attention_mask: None, or a mask of shape (batch, 1, n, n).
        logn_scales: Shape (batch,): the factor of each text's logits.
        **kwargs: What transformers passes to its own function.

    Returns:
        The attention output, shape (batch, n, heads, head width), and None.
    """
    if logn_scales is None:
        raise RuntimeError("the factors of log-n scaling did not reach the attention")
    query = query * logn_scales.to(query.dtype)[:, None, None, None]
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(LOGN_SDPA, logn_sdpa)
AttentionMaskInterface.register(LOGN_SDPA, sdpa_mask)
