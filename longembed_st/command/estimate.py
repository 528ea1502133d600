"""Estimates of the time and memory of long texts, from two short measurements."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from sentence_transformers import CrossEncoder
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from longembed_st.base.long_model import LongModel
from longembed_st.base.reader import LongReader, long_reader
from longembed_st.base.tokens import TokenizedText
from longembed_st.compat import attention_implementation

RUNS = 2
"""Measured forward passes; the fastest counts."""

WORD = "word "
"""What the measured texts consist of."""

MEASURED_WINDOWS, MEASURED_TOKENS = 8, 2_048
"""The length of the longer text that is measured."""


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


def estimate_costs(model: LongModel, lengths: list[int]) -> list[Cost]:
    """Estimate time and memory of texts of given lengths.

    A text of one window and one of several are timed, as far as the model reads; other lengths
    follow from the operations that they need: linear in n for the layers, quadratic for the
    attention.
    """
    reader = long_reader(model)
    weights, widest = _linear_layers(model)

    def operations(passes: int, n: int) -> float:
        # Two a weight and token, four a pair of tokens and channel.
        attention = 4 * reader.config.num_hidden_layers * reader.config.hidden_size * n * n
        return passes * (2.0 * weights * n + attention)

    (word,) = reader.tokenize_texts([_item(model, WORD)], None)
    original = reader.extension.context.original
    longest = max(original, min(MEASURED_WINDOWS * original, MEASURED_TOKENS))

    def measure(tokens: int) -> tuple[float, float]:
        """Return the seconds that a text takes, and the operations that it needs."""
        text = WORD * max(1, (tokens - word.header - word.footer) // word.content)
        (counted,) = reader.tokenize_texts([_item(model, text)], None)
        return _seconds(model, text), operations(*_reading(reader, word, len(counted)))

    window_seconds, window_operations = measure(original)
    long_seconds, long_operations = measure(min(longest, reader.max_seq_length or longest))
    costs = []
    for tokens in lengths:
        passes, each = _reading(reader, word, tokens)
        needed = operations(passes, each)
        if needed <= window_operations:
            seconds = needed * window_seconds / window_operations
        else:
            # A long text is read in large passes or several at once, which are faster.
            seconds = max(window_seconds, needed * long_seconds / long_operations)
        at_once = max(1, min(passes, reader.extension.token_budget // each))
        megabytes = at_once * _bytes(reader, each, widest) / 1e6
        costs.append(Cost(tokens, passes, seconds, megabytes))
    return costs


def _reading(reader: LongReader, word: TokenizedText, tokens: int) -> tuple[int, int]:
    """How many passes a text without prompt takes, and the tokens of each; `word` is any text."""
    shortest = word.header + word.footer + 1
    coverage = reader.coverage_of(replace(word, ids=[0] * max(tokens, shortest)))
    if coverage.passes == 1:
        return 1, coverage.read
    return coverage.passes, reader.method.tokens_per_window(reader.extension.context)


def _linear_layers(model: LongModel) -> tuple[int, int]:
    """Weights that a token meets on its way, shared ones at each visit, and the widest output."""
    weights: list[int] = []
    widths: list[int] = []

    def visited(layer: nn.Module, inputs: object, output: Tensor) -> None:
        weights.append(sum(p.numel() for p in layer.parameters(recurse=False)))
        widths.append(output.shape[-1])

    reader = long_reader(model)
    hooks = [
        module.register_forward_hook(visited)
        for module in reader.model.modules()
        # GPT-2 and its kin have the second for the first.
        if isinstance(module, (nn.Linear, Conv1D))
    ]
    try:
        # By torch, whatever the engine: compiled graphs have no layers.
        with torch.inference_mode():
            reader.read_with_torch(reader.padded_inputs([WORD]))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(weights), max(widths)


def _item(model: LongModel, text: str) -> Any:
    """Return a text as the model takes it: for a cross-encoder with a short query."""
    return (WORD, text) if isinstance(model, CrossEncoder) else text


def _seconds(model: LongModel, text: str) -> float:
    read = model.predict if isinstance(model, CrossEncoder) else cast(Any, model).encode

    def once() -> float:
        start = time.perf_counter()
        read(_item(model, text), prompt="", show_progress_bar=False)
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(RUNS))


def _bytes(reader: LongReader, n: int, widest: int) -> float:
    """Peak memory of one pass, of the parts that a layer holds at once.

    The widest output before and after its activation; the layer's input, queries, keys, values,
    context, its projection, the sum and its norm; with eager attention, dense logits.
    """
    config = reader.config
    width = 2 * widest + 8 * config.hidden_size
    dense = 3 * config.num_attention_heads * n if attention_implementation(config) == "eager" else 0
    engine = reader.engine
    halves = engine is not None and engine.precision != "float32"
    return float(n * (width + dense) * (2 if halves else reader.model.dtype.itemsize))
