"""The embedding of every token of a text, for those who pool for themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.coverages import Overflow

if TYPE_CHECKING:
    from longembed_st.reading.transformer import LongTransformer


@torch.inference_mode()
def token_states(
    reader: LongTransformer, text: str, prompt: str | None, overflow: Overflow
) -> Tensor:
    """The embeddings of the tokens that are read, each once, in the order of the text.

    Where a text is read in windows, its leading special tokens are those of the first window, the
    trailing ones those of the last, and a token that two windows share is that of the later one's
    predecessor: rows and `tokenizer(prompt + text)` correspond.

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
    rows: dict[int, Tensor] = {}
    for chosen, outputs in reader.read_batches(passes, features):
        for row, index in enumerate(chosen):
            rows[index] = outputs["token_embeddings"][row, : len(passes[index].tokens)]
    found = [rows[0][: passes[0].header]]
    done = 0
    for index, one in enumerate(passes):
        content = rows[index][one.header : one.header + one.last - one.first]
        found.append(content[max(done - one.first, 0) :])
        done = max(done, one.last)
    last = passes[-1]
    found.append(rows[len(passes) - 1][last.header + last.last - last.first :])
    return torch.cat(found)
