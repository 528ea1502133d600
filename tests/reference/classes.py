"""Sparse encoders, late interaction and cross-encoders from their formulas, a window at a time.

SPLADE (Formal et al., arXiv 2107.05720, equation 1; v2, arXiv 2109.10086, equation 6): the weight
of word j is the sum, or the maximum, over the tokens i of `log(1 + ReLU(w_ij))`. ColBERT (Khattab
and Zaharia, arXiv 2004.12832, section 3.2): a projected, normalized vector for each token, special
ones among them, punctuation of documents left out. Only transformers' own classes are used.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from reference.absolute import pi_table
from reference.windows import cut
from torch import Tensor, nn
from transformers import AutoTokenizer


class PlainHead:
    """A transformers model with its head, and its tokenizer.

    Args:
        kind: An Auto class of transformers.
        folder: The checkpoint.
        window: L_o.
    """

    def __init__(self, kind: type, folder: Path, window: int) -> None:
        self.model = kind.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.window = window

    def stretched(self, factor: int) -> PlainHead:
        """The same by position interpolation: a longer table, or linearly scaled rotations."""
        other = copy.copy(self)
        config = copy.deepcopy(self.model.config)
        weights = dict(self.model.state_dict())
        if hasattr(config, "rope_parameters"):
            config.rope_parameters = {
                **config.rope_parameters,
                "rope_type": "linear",
                "factor": float(factor),
            }
            config.max_position_embeddings = self.window * factor
        else:
            ((name, table),) = [
                (name, module.weight.detach())
                for name, module in self.model.named_modules()
                if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
            ]
            offset = len(table) - self.window
            rows = torch.cat([table[:offset], pi_table(table[offset:], factor)])
            config.max_position_embeddings = len(rows)
            weights[f"{name}.weight"] = rows
        other.model = type(self.model)(config).eval()
        other.model.load_state_dict(weights, strict=True)
        other.window = self.window * factor
        return other

    def windows(self, ids: list[int], header: int, footer: int) -> list[list[int]]:
        """Token ids of each window of a text that is longer than L_o."""
        head, tail = ids[:header], ids[len(ids) - footer :]
        content = ids[header : len(ids) - footer]
        return [head + chunk + tail for chunk in cut(content, self.window - header - footer)]

    @torch.no_grad()
    def output(self, ids: list[int], name: str, types: list[int] | None = None) -> Tensor:
        """An output of the model for one sequence, without the batch."""
        given = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids))}
        given["attention_mask"] = given["attention_mask"].long()
        if types is not None:
            given["token_type_ids"] = torch.tensor([types])
        return getattr(self.model(**given), name)[0]


def splade_weights(scores: Tensor, strategy: str, twice: bool) -> list[float]:
    """The weight of every word, from scores of shape (tokens, words), word by word."""
    weights = []
    for word in range(scores.shape[1]):
        values = [math.log(1 + max(float(score), 0.0)) for score in scores[:, word]]
        if twice:
            values = [math.log(1 + value) for value in values]
        weights.append(max(values) if strategy == "max" else sum(values))
    return weights


def colbert_vectors(states: Tensor, projection: Tensor) -> Tensor:
    """A vector a token, shape (tokens, width): projected, and divided by its length."""
    projected = states @ projection.T
    return torch.stack([vector / vector.norm() for vector in projected])
