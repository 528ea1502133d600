"""Choose the positions of training texts: a document can begin at any row of the table.

A document of n tokens is read at positions u, ..., u + n - 1. The offset u is drawn again in each
batch. So texts that are much shorter than the extended window train all of its rows (LongEmbed,
appendix B, after PoSE, Zhu et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch import Tensor

from longembed_tuning.table import Layout

QUERY = "query"
"""The column of the queries, whose positions are those of inference."""


def draw_offsets(lengths: Tensor, extended: int, rng: np.random.Generator) -> Tensor:
    """Draw the first position of each text uniformly from 0, ..., extended - n.

    For a text that fills the original window, this is the range of the paper. A shorter text can
    start later, so that it trains the last rows of the table, too.

    Args:
        lengths: Shape (texts,): tokens n of each text.
        extended: The extended window in tokens.
        rng: The source of randomness.

    Returns:
        Shape (texts,), int64.
    """
    return torch.from_numpy(rng.integers(0, extended - lengths.numpy(), endpoint=True))


def moved_positions(mask: Tensor, offsets: Tensor) -> Tensor:
    """Return the positions of texts, each of which begins at its offset.

    Args:
        mask: Shape (texts, tokens): 1 for tokens, 0 for padding.
        offsets: Shape (texts,).

    Returns:
        Shape (texts, tokens), int64. Padding repeats a position of its text.
    """
    return offsets.unsqueeze(1) + _index(mask)


def query_positions(mask: Tensor, layout: Layout) -> Tensor:
    """Return the positions that the tuned model gives to texts at inference.

    A text that fits the original window uses the original rows; a longer one uses all rows in turn.

    Args:
        mask: Shape (texts, tokens): 1 for tokens, 0 for padding.
        layout: The places of the original rows in the extended table.

    Returns:
        Shape (texts, tokens), int64.
    """
    fits = mask.sum(1, keepdim=True) <= layout.original
    return _index(mask) * torch.where(fits, layout.stride, 1)


def _index(mask: Tensor) -> Tensor:
    """Return the place of each token in its text, from 0, with padding on either side."""
    return (mask.cumsum(1) - 1).clamp(min=0)


@dataclass
class OffsetCollator(SentenceTransformerDataCollator):
    """Tokenize a batch and choose the positions of its texts.

    The offsets of a batch depend only on the seed, the device and the number of the batch. So a
    resumed run draws the same offsets as one that was not interrupted.

    Attributes:
        layout: The places of the original rows in the extended table.
        seed: The run's seed.
        device_index: The number of the device that the batch is for, from 0.
        batches: The number of batches so far; a resumed run goes on from its number.
    """

    layout: Layout = field(kw_only=True)
    seed: int = 0
    device_index: int = 0
    batches: int = 0

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Turn rows of the data set into the model's inputs.

        Returns:
            The inputs by column and name; `position_ids` of shape (examples, tokens) among them.
        """
        batch: dict[str, Any] = super().__call__(features)
        rng = np.random.default_rng([self.seed, self.device_index, self.batches])
        self.batches += 1
        for column in features[0]:
            mask = batch[f"{column}_attention_mask"]
            if column == QUERY:
                positions = query_positions(mask, self.layout)
            else:
                offsets = draw_offsets(mask.sum(1), self.layout.extended, rng)
                positions = moved_positions(mask, offsets)
            batch[f"{column}_position_ids"] = self.layout.first_position + positions
        return batch
