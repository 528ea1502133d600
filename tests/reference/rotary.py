"""Rotary attention from the papers' formulas: dense, eager, one text at a time.

The model around the attention is the stock transformers class of the same weights. It is called
with all positions zero, so that queries and keys arrive unrotated; everything about positions,
windows and scaling happens here, from a matrix of relative positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, AutoModel, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

DENSE = "dense_reference"
"""The name under which transformers knows `_dense_attention`."""


def self_extend_position(i: int, j: int, group_size: int, neighbor_window: int) -> int:
    """Where the query at i sees the key at j: positive if the key precedes it.

    LongEmbed (arXiv 2404.12096), section 4.3, and Jin et al. (arXiv 2401.01325), section 3.2.
    """
    shift = neighbor_window - neighbor_window // group_size
    if abs(i - j) < neighbor_window:
        return i - j
    if j < i:
        return (i // group_size + shift) - j // group_size
    return i // group_size - (j // group_size + shift)


@cache
def self_extend_map(n: int, group_size: int, neighbor_window: int) -> Tensor:
    """All relative positions, query minus key, shape (n, n)."""
    rows = [
        [self_extend_position(i, j, group_size, neighbor_window) for j in range(n)]
        for i in range(n)
    ]
    return torch.tensor(rows, dtype=torch.float64)


def difference_map(positions: Sequence[float]) -> Tensor:
    """Relative positions of tokens that stand at given positions, query minus key."""
    places = torch.tensor(positions, dtype=torch.float64)
    return places[:, None] - places[None, :]


def rope_frequencies(width: int, base: float) -> Tensor:
    """`theta_j = base^(-2j/d)`, j from 0 to d/2 - 1 (Su et al., arXiv 2104.09864)."""
    thetas = [base ** (-2 * j / width) for j in range(width // 2)]
    return torch.tensor(thetas, dtype=torch.float64)


def transformers_frequencies(
    rope_type: str, width: int, base: float, window: int, *, n: int | None = None, **settings: Any
) -> tuple[Tensor, float]:
    """Frequencies and attention factor as transformers itself computes them."""
    parameters = {"rope_type": rope_type, "rope_theta": base, **settings}
    if rope_type == "yarn":
        parameters["original_max_position_embeddings"] = window
    config = LlamaConfig(
        head_dim=width,
        hidden_size=4 * width,
        num_attention_heads=4,
        max_position_embeddings=window,
        rope_parameters=parameters,
    )
    inverse, factor = ROPE_INIT_FUNCTIONS[rope_type](config, device="cpu", seq_len=n)
    return inverse.double(), factor


@dataclass(frozen=True)
class Plan:
    """How the global layers of one text are read.

    Attributes:
        relative: Relative positions, query minus key, shape (n, n).
        inverse: Frequencies, shape (d / 2,).
        attention_factor: Multiplies queries and keys.
        logn: Multiplies the logits.
    """

    relative: Tensor
    inverse: Tensor
    attention_factor: float = 1.0
    logn: float = 1.0

    @cached_property
    def rotations(self) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every angle, each of shape (d / 2, n, n)."""
        angles = self.inverse[:, None, None] * self.relative
        return angles.cos(), angles.sin()


def plan_for(
    method: str,
    n: int,
    window: int,
    extended: int,
    width: int,
    base: float,
    *,
    logn: bool = False,
    dynamic: bool = False,
    multiple: float | None = None,
    group: tuple[int, int] | None = None,
    inverse: Tensor | None = None,
) -> Plan:
    """What a method does to a text of n tokens.

    Args:
        method: "none", "gp", "rp", "pi", "ntk", "yarn" or "self_extend".
        n: Tokens of the text.
        window: L_o.
        extended: L_t.
        width: d, channels of a head.
        base: Rotary base.
        logn: Scale the logits by `max(1, log n / log L_o)`.
        dynamic: Take s from n instead of from L_t.
        multiple: lambda of ntk.
        group: G and w of SelfExtend.
        inverse: The model's own frequencies, where they do not follow from the base.
    """
    scale = math.ceil((n if dynamic else extended) / window)
    inverse = rope_frequencies(width, base) if inverse is None else inverse
    factor = 1.0
    relative = difference_map(range(n))
    if n <= window:
        return Plan(relative, inverse)
    match method:
        case "none":
            pass
        case "gp":
            relative = difference_map([i // scale for i in range(n)])
        case "rp":
            relative = difference_map([i % window for i in range(n)])
        case "pi":
            relative = difference_map([i / scale for i in range(n)])
        case "ntk":
            share = n / window if dynamic else scale
            multiple = share ** (width / (width - 2)) if multiple is None else multiple
            # (base * lambda)^(-2j/d) is base^(-2j/d) lambda^(-2j/d).
            inverse = inverse * rope_frequencies(width, multiple)
        case "yarn":
            inverse, factor = transformers_frequencies(
                "yarn", width, base, window, factor=float(scale)
            )
        case "self_extend":
            # Table 6 of the paper: (3, L_o / 2), (5, L_o / 4), (9, L_o / 8) for s = 2, 4, 8.
            size, near = group or (scale + 1, window // scale)
            relative = self_extend_map(n, size, near)
        case _:
            raise AssertionError(method)
    scaled = max(1.0, math.log(n) / math.log(window)) if logn else 1.0
    return Plan(relative, inverse, factor, scaled)


class RotaryReference:
    """The stock model of a folder with dense attention.

    Args:
        folder: The folder.
        window: L_o.
        causal: Whether tokens see only what precedes them.
    """

    def __init__(self, folder: Path, window: int, causal: bool) -> None:
        self.model = AutoModel.from_pretrained(
            folder, dtype=torch.float32, attn_implementation=DENSE
        ).eval()
        self.window = window
        self.causal = causal

    @property
    def width(self) -> int:
        """Channels of a head."""
        config = self.model.config
        own = getattr(config, "head_dim", None)
        return own or config.hidden_size // config.num_attention_heads

    @property
    def base(self) -> float:
        """Rotary base of the global layers."""
        parameters = self.model.config.rope_parameters
        return parameters.get("full_attention", parameters)["rope_theta"]

    def token_embeddings(self, ids: Tensor, method: str, extended: int, **options: Any) -> Tensor:
        """Token embeddings of one text, shape (1, n, width of the model).

        Args:
            ids: Shape (1, n).
            method: See `plan_for`.
            extended: L_t.
            **options: See `plan_for`.
        """
        n = ids.shape[1]
        plan = plan_for(method, n, self.window, extended, self.width, self.base, **options)
        return self.run(ids, plan)

    def run(self, ids: Tensor, plan: Plan, gradients: bool = False) -> Tensor:
        """Token embeddings of one text by an explicit plan."""
        for module in self.model.modules():
            module._reference = (plan, self.causal)
        with torch.set_grad_enabled(gradients):
            return self.model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                position_ids=torch.zeros_like(ids),
            ).last_hidden_state


def _dense_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[Tensor, None]:
    plan, causal = module._reference
    n = query.shape[2]
    step = difference_map(range(n))
    hidden = step < 0 if causal else torch.zeros(n, n, dtype=torch.bool)
    local = _local_layer(module)
    if local is not None:
        base, reach = local
        hidden = hidden | (step.abs() > reach)
        plan = _local_plan(n, query.shape[-1], base)
    groups = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(groups, dim=1) for x in (key, value))
    logits = rotated_products(query.double(), key, *plan.rotations)
    logits = logits * plan.attention_factor**2 * scaling * plan.logn
    logits = logits.masked_fill(hidden, float("-inf"))
    output = logits.softmax(-1) @ value
    return output.transpose(1, 2).to(query.dtype), None


def rotated_products(query: Tensor, key: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`<R(p_i) q_i, R(p_j) k_j>`, which depends on the relative position `p_i - p_j` only.

    Channel pairs are complex numbers (Su et al., 2021, section 3.2.1), split in halves:
    `Re[q conj(k) exp(i (p_i - p_j) theta)]`.

    Args:
        query: Shape (batch, heads, n, d).
        key: Shape (batch, heads, n, d).
        cos: Shape (d / 2, n, n).
        sin: Shape (d / 2, n, n).
    """
    q_re, q_im = query.chunk(2, dim=-1)
    k_re, k_im = key.chunk(2, dim=-1)
    logits = torch.zeros(*query.shape[:3], key.shape[2], dtype=query.dtype)
    for j in range(len(cos)):
        a, b = q_re[..., :, None, j], q_im[..., :, None, j]
        c, d = k_re[..., None, :, j], k_im[..., None, :, j]
        logits += (a * c + b * d) * cos[j] - (b * c - a * d) * sin[j]
    return logits


@lru_cache(2)
def _local_plan(n: int, width: int, base: float) -> Plan:
    return Plan(difference_map(range(n)), rope_frequencies(width, base))


def _local_layer(module: nn.Module) -> tuple[float, int] | None:
    """Rotary base of a local layer and the farthest distance that it sees; None if global."""
    config = module.config
    layers = getattr(config, "layer_types", None)
    if not layers or layers[module.layer_idx] != "sliding_attention":
        return None
    base = config.rope_parameters["sliding_attention"]["rope_theta"]
    if config.model_type == "modernbert":
        return base, config.local_attention // 2
    return base, config.sliding_window - 1


AttentionInterface.register(DENSE, _dense_attention)
AttentionMaskInterface.register(DENSE, lambda *_, **__: None)


def rotary_bert(weights: Mapping[str, Tensor], config: Mapping[str, Any], ids: Tensor) -> Tensor:
    """BERT (Devlin et al., 2019, arXiv 1810.04805) with rotary instead of learned positions.

    Args:
        weights: By the names of a BERT checkpoint.
        config: Its configuration, with `rope_theta`.
        ids: Shape (n,).

    Returns:
        Token embeddings, shape (n, hidden size), in double precision.
    """
    weights = {name: weight.double() for name, weight in weights.items()}
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    width = config["hidden_size"] // heads
    plan = Plan(difference_map(range(len(ids))), rope_frequencies(width, config["rope_theta"]))

    def linear(states: Tensor, name: str) -> Tensor:
        return states @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def normalized(states: Tensor, name: str) -> Tensor:
        centred = states - states.mean(-1, keepdim=True)
        spread = (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
        return centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def by_head(states: Tensor) -> Tensor:
        return states.view(1, len(ids), heads, width).transpose(1, 2)

    types = weights["embeddings.token_type_embeddings.weight"][0]
    states = weights["embeddings.word_embeddings.weight"][ids] + types
    states = normalized(states, "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            by_head(linear(states, f"{layer}.attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        logits = rotated_products(query, key, *plan.rotations) / math.sqrt(width)
        mixed = (logits.softmax(-1) @ value).transpose(1, 2).reshape(len(ids), -1)
        mixed = linear(mixed, f"{layer}.attention.output.dense")
        states = normalized(states + mixed, f"{layer}.attention.output.LayerNorm")
        inner = linear(states, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2)))
        inner = linear(inner, f"{layer}.output.dense")
        states = normalized(states + inner, f"{layer}.output.LayerNorm")
    return states
