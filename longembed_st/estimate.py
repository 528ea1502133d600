"""What a text of some length will cost, from one short measurement."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sentence_transformers import SentenceTransformer
from torch import nn

from longembed_st.loading import long_transformer
from longembed_st.transformer import LongTransformer

RUNS = 3
"""Measured forward passes; the fastest counts."""


@dataclass(frozen=True)
class Cost:
    """The estimated cost of one text.

    Attributes:
        tokens: Its length.
        passes: Forward passes that it is read in.
        seconds: Time on the model's device.
        megabytes: Peak memory beyond the weights.
    """

    tokens: int
    passes: int
    seconds: float
    megabytes: float


def estimate_costs(model: SentenceTransformer, lengths: list[int]) -> list[Cost]:
    """Estimate time and memory of texts of given lengths.

    One pass of the original window is timed; other lengths follow from the operations that they
    need: linear in n for the layers, quadratic for the attention.

    Args:
        model: An extended model.
        lengths: Lengths in tokens.

    Returns:
        One estimate a length.
    """
    reader = long_transformer(model)
    window = reader.extension.original_max_seq_length
    seconds_per_operation = _seconds(model, window) / _operations(reader, window)
    costs = []
    for tokens in lengths:
        passes, each = _reading(reader, tokens)
        seconds = passes * _operations(reader, each) * seconds_per_operation
        at_once = max(1, min(passes, reader.extension.token_budget // each))
        costs.append(Cost(tokens, passes, seconds, at_once * _bytes(reader, each) / 1e6))
    return costs


def _reading(reader: LongTransformer, tokens: int) -> tuple[int, int]:
    """How many passes a text without prompt takes, and the tokens of each."""
    tokens = min(tokens, reader.max_seq_length or tokens)
    if tokens <= reader.extension.original_max_seq_length:
        return 1, tokens
    size = reader.method.tokens_per_window(reader.extension.context)
    windows = reader.method.windows(tokens, size)
    return (1, tokens) if windows is None else (len(windows), size)


def _seconds(model: SentenceTransformer, tokens: int) -> float:
    """Time of one pass over a text of about so many tokens."""
    text = "word " * (tokens - 2)

    def once() -> float:
        start = time.perf_counter()
        model.encode(text, show_progress_bar=False)
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(RUNS))


def _operations(reader: LongTransformer, n: int) -> float:
    """Floating-point operations of one pass: two a weight and token, four a pair and channel."""
    config = reader.config
    layers = sum(p.numel() for m in _linears(reader) for p in m.parameters(recurse=False))
    return 2.0 * layers * n + 4.0 * config.num_hidden_layers * config.hidden_size * n * n


def _bytes(reader: LongTransformer, n: int) -> float:
    """Peak memory of one pass: the widest layer's output, a few hidden states, dense logits."""
    config = reader.config
    width = max(m.out_features for m in _linears(reader)) + 4 * config.hidden_size
    dense = 3 * config.num_attention_heads * n if config._attn_implementation == "eager" else 0
    return float(n * (width + dense) * reader.model.dtype.itemsize)


def _linears(reader: LongTransformer) -> list[nn.Linear]:
    return [m for m in reader.model.modules() if isinstance(m, nn.Linear)]
