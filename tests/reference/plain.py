"""A text-embedding model as plain transformers calls: one text at a time, no padding, no mask."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer


@dataclass
class PlainModel:
    """Tokenizer, encoder and pooling of one checkpoint.

    Attributes:
        folder: Folder of the transformers checkpoint.
        window: L_o in tokens.
        offset: Row of the position table that belongs to the first token.
        pooling: Pooling mode or modes, whose vectors are then joined.
        normalize: Whether vectors are brought to unit length at the end.
        specials: Special tokens before and after a text.
    """

    folder: Path
    window: int
    offset: int = 0
    pooling: str | tuple[str, ...] = "mean"
    normalize: bool = True
    specials: tuple[int, int] = (1, 1)
    include_prompt: bool = True
    _loaded: list[nn.Module] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)

    @property
    def encoder(self) -> nn.Module:
        """The unmodified encoder."""
        if not self._loaded:
            self._loaded.append(AutoModel.from_pretrained(self.folder, dtype=torch.float32).eval())
        return self._loaded[0]

    def token_ids(self, text: str) -> list[int]:
        """All tokens of a text, special tokens included."""
        return self.tokenizer(text, verbose=False)["input_ids"]

    def prompt_tokens(self, text: str, prompt: str) -> int:
        """How many tokens of prompt + text belong wholly to the prompt."""
        offsets = self.tokenizer(
            prompt + text,
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )["offset_mapping"]
        return sum(1 for _, end in offsets if end <= len(prompt))

    def left_out(self, prompt: str) -> int:
        """How many tokens sentence-transformers leaves out of a pooling without the prompt.

        It counts the tokens of the prompt alone, without a special token at the end.
        """
        return len(self.token_ids(prompt)) - self.specials[1] if prompt else 0

    def hidden(
        self,
        ids: Sequence[int],
        positions: Sequence[int] | None = None,
        table: Tensor | None = None,
        logit_scale: float = 1.0,
    ) -> Tensor:
        """Token embeddings of one text, shape (n, width).

        Args:
            ids: Its tokens.
            positions: Their positions, counted from 0; default 0, 1, 2 ... n - 1.
            table: The position vectors of positions 0, 1, 2 ..., in place of the model's own.
            logit_scale: Every attention logit is multiplied by it.
        """
        encoder = self.encoder
        if table is not None:
            encoder = with_position_table(encoder, table, self.offset)
        if logit_scale != 1.0:
            encoder = with_scaled_queries(encoder, logit_scale)
        inputs = {"input_ids": torch.tensor([list(ids)])}
        if positions is not None:
            inputs["position_ids"] = torch.tensor([list(positions)]) + self.offset
        with torch.no_grad():
            return encoder(**inputs).last_hidden_state[0]

    def pool(self, hidden: Tensor, prompt_length: int = 0) -> Tensor:
        """One vector from the token embeddings of one text.

        Args:
            hidden: Shape (n, width).
            prompt_length: Tokens at the start that are left out, if the pooling leaves prompts out.
        """
        modes = (self.pooling,) if isinstance(self.pooling, str) else self.pooling
        first = 0 if self.include_prompt else prompt_length
        return torch.cat([_pool(hidden, mode, first) for mode in modes])

    def finish(self, vector: Tensor) -> Tensor:
        """What comes after pooling."""
        return vector / vector.norm() if self.normalize else vector

    def embed(self, text: str, prompt: str = "") -> Tensor:
        """The vector of the unmodified model, for a text that it reads whole."""
        ids = self.token_ids(prompt + text)
        assert len(ids) <= self.window
        return self.finish(self.pool(self.hidden(ids), self.left_out(prompt)))


def _pool(hidden: Tensor, mode: str, first: int) -> Tensor:
    kept = hidden[first:]
    match mode:
        case "mean":
            return kept.mean(0)
        case "mean_sqrt_len_tokens":
            return kept.sum(0) / math.sqrt(len(kept))
        case "max":
            return kept.max(0).values
        case "cls":
            return kept[0]
        case "lasttoken":
            return kept[-1]
        case "weightedmean":
            weights = torch.arange(first + 1, len(hidden) + 1).float()
            return (kept * weights[:, None]).sum(0) / weights.sum()
    raise AssertionError(mode)


def position_table(encoder: nn.Module) -> tuple[str, nn.Embedding]:
    """The learned position embedding of an encoder, and its name."""
    ((name, table),) = [
        (name, module)
        for name, module in encoder.named_modules()
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
    ]
    return name, table


def with_position_table(encoder: nn.Module, rows: Tensor, offset: int) -> nn.Module:
    """The same encoder, built anew with another position table.

    Args:
        encoder: The encoder.
        rows: The vectors of positions 0, 1, 2 ..., shape (positions, width).
        offset: Rows of the table that belong to no position; they are kept.
    """
    name, table = position_table(encoder)
    config = copy.deepcopy(encoder.config)
    config.max_position_embeddings = offset + len(rows)
    longer = AutoModel.from_config(config).eval()
    weights = dict(encoder.state_dict())
    weights[f"{name}.weight"] = torch.cat([table.weight.detach()[:offset], rows])
    longer.load_state_dict(weights, strict=True)
    return longer


def with_scaled_queries(encoder: nn.Module, factor: float) -> nn.Module:
    """The same encoder with all queries, and so all attention logits, multiplied by a factor."""
    scaled = copy.deepcopy(encoder)
    count = 0
    for name, module in scaled.named_modules():
        if name.rsplit(".", 1)[-1] in ("query", "q_lin") and isinstance(module, nn.Linear):
            with torch.no_grad():
                module.weight *= factor
                module.bias *= factor
            count += 1
    assert count, "found no query projection"
    return scaled


def logn_factor(n: int, window: int) -> float:
    """`max(1, log n / log L_o)`: attention scaling, appendix B."""
    return max(1.0, math.log(n) / math.log(window))
