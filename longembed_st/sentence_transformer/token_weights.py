"""Weights of tokens in the mean of a pass, where rare words may count more than common ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import Tensor, nn

from longembed_st.errors import ModelError

FILE_NAME = "token_weights.safetensors"
"""Beside the weights of a saved model."""


class TokenWeights(nn.Module):
    """Weighs token embeddings before they are averaged, as `WordWeights` of sentence-transformers.

    Args:
        weights: One for each row of the model's token table, shape (vocabulary,), none negative.

    Raises:
        ModelError: If one is negative or not finite.
    """

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        if weights.dim() != 1 or not torch.isfinite(weights).all() or (weights < 0).any():
            raise ModelError("token weights must be one finite number a token, none negative")
        self.register_buffer("weights", weights.float().contiguous())

    def forward(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Weigh the token embeddings of some passes.

        Args:
            outputs: `input_ids`, shape (passes, n), `token_embeddings`, shape (passes, n, width),
                and perhaps `attention_mask` and `prompt_length`, as the pooling takes them.

        Returns:
            The same with weighted embeddings, and the sum of the weights for the pooling.
        """
        embeddings = outputs["token_embeddings"]
        weights = self.weights[outputs["input_ids"]]
        if "attention_mask" in outputs:
            weights = weights * outputs["attention_mask"]
        # Padding is on the right, so that the prompt is at the beginning.
        counted = weights[:, outputs.get("prompt_length", 0) :]
        return {
            **outputs,
            "token_embeddings": embeddings * weights.unsqueeze(-1).to(embeddings.dtype),
            "token_weights_sum": counted.sum(dim=1),
        }


def refuse_unless_mean(pooling: Pooling) -> None:
    """Raise `ModelError` unless a model pools by the mean."""
    if pooling.pooling_mode not in ("mean", ("mean",), ["mean"]):
        raise ModelError(
            f"tokens cannot be weighted in a model that pools by {pooling.pooling_mode!r}: only a "
            "mean of tokens has weights. Leave the token weights out"
        )
