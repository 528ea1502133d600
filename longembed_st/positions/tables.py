"""Learned position embeddings that can be read between their rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention


def interpolate_rows(table: Tensor, positions: Tensor) -> Tensor:
    """Interpolate rows of a table at fractional positions (LongEmbed, section 4.2, f_pi).

    Between rows i and i + 1, at position p, the vector is `(i + 1 - p) E[i] + (p - i) E[i + 1]`.

    Args:
        table: Shape (rows, width).
        positions: Any shape, floating point, within 0 and rows - 1.

    Returns:
        The shape of `positions` with a last dimension of `width`, in the table's dtype.
    """
    lower = positions.floor().long()
    upper = (lower + 1).clamp(max=len(table) - 1)
    # Half-precision tables are mixed in single precision and rounded once.
    mixing = table.dtype if table.dtype.itemsize >= 4 else torch.float32
    share = (positions - lower).to(mixing).unsqueeze(-1)
    below, above = F.embedding(lower, table).to(mixing), F.embedding(upper, table).to(mixing)
    return ((1 - share) * below + share * above).to(table.dtype)


class FractionalEmbedding(nn.Embedding):
    """An `nn.Embedding` that also takes positions between its rows."""

    @classmethod
    def sharing(cls, table: nn.Embedding) -> FractionalEmbedding:
        """Wrap the weight of an existing embedding, without a copy."""
        rows = table.weight.data
        embedding = cls.from_pretrained(rows, freeze=False, padding_idx=table.padding_idx)
        embedding.weight = table.weight
        return embedding.train(table.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Embedding's own name
        """Look up the positions.

        Args:
            input: Any shape; integer rows, or floating-point positions between rows.

        Returns:
            The shape of `input` with a last dimension of the embedding's width.
        """
        if input.is_floating_point():
            return interpolate_rows(self.weight, input)
        return super().forward(input)
