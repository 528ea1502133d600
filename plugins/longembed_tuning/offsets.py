"""Choose the positions of training texts: documents stand anywhere in the table.

A document of n tokens is read at positions u, ..., u + n - 1 with u drawn anew each time, so that
texts far shorter than the extended window train every row of it (LongEmbed, appendix B, after PoSE,
Zhu et al. 2023).
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
"""The column whose texts are read as at inference."""


def draw_offsets(lengths: Tensor, extended: int, rng: np.random.Generator) -> Tensor:
    """Draw the first position of each text uniformly from 0, ..., extended - n.

    For a text that fills the original window this is the paper's range. A shorter one may start
    later, or the last rows of the table would never be trained on it.

    Args:
        lengths: Shape (texts,): tokens n of each text.
        extended: The extended window in tokens.
        rng: The source of randomness.

    Returns:
        Shape (texts,), int64.
    """
    return torch.from_numpy(rng.integers(0, extended - lengths.numpy(), endpoint=True))


def moved_positions(mask: Tensor, offsets: Tensor) -> Tensor:
    """Return the positions of texts that are read from an offset on.

    Args:
        mask: Shape (texts, tokens): 1 for tokens, 0 for padding.
        offsets: Shape (texts,).

    Returns:
        Shape (texts, tokens), int64; those of padding are positions of the text, too.
    """
    return offsets.unsqueeze(1) + _index(mask)


def query_positions(mask: Tensor, layout: Layout) -> Tensor:
    """Return positions by the rule of the tuned model: with strides up to the original window.

    Args:
        mask: Shape (texts, tokens): 1 for tokens, 0 for padding.
        layout: Where the original rows stand.

    Returns:
        Shape (texts, tokens), int64.
    """
    fits = mask.sum(1, keepdim=True) <= layout.original
    return _index(mask) * torch.where(fits, layout.stride, 1)


def _index(mask: Tensor) -> Tensor:
    """Return the place of each token in its text, from 0, on whichever side the padding is."""
    return (mask.cumsum(1) - 1).clamp(min=0)


@dataclass
class OffsetCollator(SentenceTransformerDataCollator):
    """Tokenize a batch and choose the positions of its texts.

    The offsets of a batch follow from the seed, the device and the number of the batch alone, so
    that a run that was cut off draws the same ones again.

    Attributes:
        layout: Where the original rows stand.
        seed: The run's seed.
        device_index: Which of several devices the batch is for.
        batches: Batches drawn so far; a resumed run begins with those that it had.
    """

    layout: Layout = field(kw_only=True)
    seed: int = 0
    device_index: int = 0
    batches: int = 0

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Turn rows of the data set into the model's inputs.

        Args:
            features: One row an example, its columns in the order of the loss.

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
