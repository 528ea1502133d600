"""The embedding of every token of a text, for those who pool for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.base.coverage import Overflow
from longembed_st.base.reader import unique_token_masks

if TYPE_CHECKING:
    from longembed_st.sentence_transformer.transformer import LongTransformer


@torch.inference_mode()
def token_states(
    reader: LongTransformer, text: str, prompt: str | None, overflow: Overflow
) -> Tensor:
    """The embeddings of the tokens that are read, each once, in the order of the text.

    Where a text is read in windows, its leading special tokens are those of the first window, the
    trailing ones those of the last, and a token that two windows share is that of the earlier one:
    rows and `tokenizer(prompt + text)` correspond.

    Args:
        reader: The module that reads.
        text: A valid string.
        prompt: Put before the text, or None.
        overflow: Counts what is not read.

    Returns:
        Shape (tokens, width).

    Raises:
        InputError: As `preprocess` of the reader.
    """
    features = reader.flat_features([text], prompt, overflow=overflow)
    features = batch_to_device(features, reader.token_table.device)
    passes = reader.passes_of(features)
    kept = unique_token_masks(passes)
    rows: dict[int, Tensor] = {}
    for chosen, outputs in reader.read_batches(passes, features):
        for row, index in enumerate(chosen):
            states = outputs["token_embeddings"][row, : len(kept[index])]
            rows[index] = states[kept[index].to(states.device)]
    return torch.cat([rows[index] for index in range(len(passes))])
