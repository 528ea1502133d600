"""The embedding of every token of some texts, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.base.passes import unique_token_masks

if TYPE_CHECKING:
    from longembed_st.base.reader import LongReader


def token_states(reader: LongReader, features: dict[str, Any], **kwargs: Any) -> Tensor:
    """Return the embeddings of the tokens of texts, each once, in the order of the texts.

    Where a text is read in windows, its leading special tokens are those of the first window, the
    trailing ones those of the last, and a token that two windows share is that of the earlier one:
    rows and `tokenizer(prompt + text)` correspond.

    Args:
        reader: The module that reads.
        features: The texts, as `flat_features` of the reader returns them.
        **kwargs: Passed on to the transformers model.

    Returns:
        Shape (tokens, width).
    """
    features = batch_to_device(features, reader.token_table.device)
    passes = reader.passes_of(features)
    masks = unique_token_masks(passes)
    rows: dict[int, Tensor] = {}
    for indices, outputs in reader.read_batches(passes, features, **kwargs):
        for row, index in enumerate(indices):
            states = outputs["token_embeddings"][row, : len(masks[index])]
            rows[index] = states[masks[index].to(states.device)]
    return torch.cat([rows[index] for index in range(len(passes))])
