"""The two forms of a batch of tokenized texts: rows with padding, and one flat sequence.

sentence-transformers' trainers and losses take rows; the reader takes a flat sequence, which needs
no memory for padding however the lengths differ.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

STARTS = "cu_seq_lens_q"
"""Where each text of a flat sequence begins."""

TOKEN_WISE = ("input_ids", "token_type_ids", "token_parts")


def padded(flat: dict[str, Any], padding: dict[str, int]) -> dict[str, Any]:
    """Turn the features of a flat sequence into rows.

    Args:
        flat: Token-wise tensors of shape (1, all tokens), and `cu_seq_lens_q`.
        padding: The padding value by tensor; 0 for those left out.

    Returns:
        Token-wise tensors of shape (texts, longest), with `attention_mask` in the place of
        `cu_seq_lens_q`; what is not token-wise stays as it is.
    """
    lengths = flat[STARTS].diff().tolist()

    def rows(tokens: Tensor, fill: int) -> Tensor:
        parts = list(tokens.split(lengths))
        return pad_sequence(parts, True, fill) if parts else tokens.reshape(0, 0)

    names = [name for name in TOKEN_WISE if name in flat]
    features = {name: rows(flat[name][0], padding.get(name, 0)) for name in names}
    features["attention_mask"] = rows(torch.ones_like(flat["input_ids"][0]), 0)
    others = {key: value for key, value in flat.items() if key not in (*TOKEN_WISE, STARTS)}
    return features | others


def flattened(features: dict[str, Any]) -> dict[str, Any]:
    """Turn the features of rows into a flat sequence, unless they are one.

    Args:
        features: As `padded` or a tokenizer returns them.

    Returns:
        As `padded` takes them.
    """
    if STARTS in features:
        return features
    mask = features["attention_mask"].bool()
    flat = {name: features[name][mask][None] for name in TOKEN_WISE if name in features}
    lengths = torch.nn.functional.pad(mask.sum(1), (1, 0))
    others = {key: value for key, value in features.items() if key not in TOKEN_WISE}
    return {**others, **flat, STARTS: lengths.cumsum(0)}
