"""From the passes of a text to its vector or score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Combination = Literal["max", "mean", "first", "logsumexp"]
"""How the scores of a text's windows become its score."""


def combined_by_text(scores: Tensor, texts: Sequence[int], count: int, how: Combination) -> Tensor:
    """Combine the scores of the windows of each text, label by label.

    Args:
        scores: Shape (windows, labels), before any activation.
        texts: The text of each window, in order.
        count: Number of texts.
        how: The highest, their mean, that of the first window, or the logarithm of the sum of
            their exponentials.

    Returns:
        Shape (count, labels).
    """
    if how == "mean":
        return mean_by_text(scores, texts, count)
    runs = split_by_text(scores, texts, count)
    match how:
        case "first":
            return torch.stack([run[0] for run in runs])
        case "logsumexp":
            return torch.stack([run.logsumexp(0) for run in runs])
        case _:
            return torch.stack([run.amax(0) for run in runs])


def split_by_text(rows: Tensor, texts: Sequence[int], count: int) -> tuple[Tensor, ...]:
    """Split the rows of all passes, in the order of the texts, into those of each text."""
    return rows.split([texts.count(text) for text in range(count)])


def mean_by_text(vectors: Tensor, texts: Sequence[int], count: int) -> Tensor:
    """Average the vectors of the passes of each text.

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
