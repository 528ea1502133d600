"""From the passes of a text to what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mean_by_text(vectors: Tensor, texts: Sequence[int], count: int) -> Tensor:
    """Average the vectors of passes that belong to one text.

    Args:
        vectors: Shape (passes, width).
        texts: The text of each pass.
        count: Number of texts.

    Returns:
        Shape (count, width), in the vectors' dtype; summed in single precision at least.
    """
    index = torch.tensor(texts, device=vectors.device)
    summing = vectors.dtype if vectors.dtype.itemsize >= 4 else torch.float32
    sums = vectors.new_zeros(count, vectors.shape[1], dtype=summing)
    sums = sums.index_add(0, index, vectors.to(summing))
    return (sums / torch.bincount(index, minlength=count).unsqueeze(1)).to(vectors.dtype)
