"""Small checkpoints of every rotary model type, with random weights.

Weights are wide and norms and biases are random too, so that nothing hides behind a zero or a one:
`test_rotary_families.py` checks that the methods give different vectors with them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from small_models import build_tokenizer
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedTokenizerBase

WINDOW = 64
"""The original window of these models, in tokens."""

_SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "initializer_range": 0.4,
    "vocab_size": 1000,
    "max_position_embeddings": WINDOW,
}
_GROUPED = {"num_key_value_heads": 2}
_LAYERS = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
_MIXED = {"num_hidden_layers": 4, "layer_types": _LAYERS, "sliding_window": 16}


@dataclass(frozen=True)
class Kind:
    """A model type, in one of the ways in which its checkpoints are configured.

    Attributes:
        model_type: `config.model_type`.
        causal: Whether tokens see only what precedes them.
        tokenizer: The kind of tokenizer, as in `small_models.build_tokenizer`.
        config: Settings of the configuration.
    """

    model_type: str
    causal: bool
    tokenizer: str
    config: dict[str, Any] = field(default_factory=dict)


def _encoder(model_type: str, tokenizer: str = "bert", **config: Any) -> Kind:
    return Kind(model_type, False, tokenizer, {"pad_token_id": 0, **config})


def _decoder(model_type: str, causal: bool = True, **config: Any) -> Kind:
    ends = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    return Kind(model_type, causal, "gpt2", {**ends, **_GROUPED, **config})


_GEMMA = {"head_dim": 8, "query_pre_attn_scalar": 5, **_MIXED}
KINDS = {
    "nomic_bert": _encoder("nomic_bert"),
    "gte": _encoder("gte"),
    "jina_embeddings_v3": _encoder("jina_embeddings_v3"),
    # Four layers: global, local, local, global; a token sees eight others on either side.
    "modernbert": _encoder("modernbert", "distilbert", num_hidden_layers=4, local_attention=16),
    "eurobert": _encoder("eurobert", "distilbert", **_GROUPED),
    "gemma3_text": _decoder("gemma3_text", False, use_bidirectional_attention=True, **_GEMMA),
    "gemma3_text, causal": _decoder("gemma3_text", **_GEMMA),
    "llama": _decoder("llama"),
    "mistral": _decoder("mistral", sliding_window=WINDOW),
    "qwen2": _decoder("qwen2"),
    "qwen3": _decoder("qwen3", head_dim=16),
    "qwen3, bidirectional": _decoder("qwen3", False, head_dim=8, is_causal=False),
}

_ENDS = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
_T5 = {"d_kv": 8, "initializer_factor": 3.0, "decoder_start_token_id": 1, **_ENDS}
OTHERS = {
    "t5": Kind("t5", False, "gpt2", _T5),
    "mt5": Kind("mt5", False, "gpt2", _T5),
    "umt5": Kind("umt5", False, "gpt2", _T5),
    "bloom": Kind("bloom", True, "gpt2", _ENDS),
}
"""Models without rotary positions that read on past their window by themselves."""

_ROPE = (
    *("rope_type", "factor", "attention_factor", "original_max_position_embeddings"),
    *("low_freq_factor", "high_freq_factor"),
)
"""Settings that belong to `config.rope_parameters`."""

_folders = tempfile.TemporaryDirectory(prefix="rotary-", ignore_cleanup_errors=True)


@cache
def folder_of(
    kind: str,
    *,
    pooling: str = "mean",
    normalize: bool = False,
    padding_side: str = "right",
    limit: int = WINDOW,
    seed: int = 0,
    **config: Any,
) -> Path:
    """A sentence-transformers folder of a kind, built once a session."""
    return build(
        {**KINDS, **OTHERS}[kind],
        config,
        pooling=pooling,
        normalize=normalize,
        padding_side=padding_side,
        limit=limit,
        seed=seed,
    )


def build(
    kind: Kind,
    config: dict[str, Any],
    *,
    pooling: str = "mean",
    normalize: bool = False,
    padding_side: str = "right",
    limit: int = WINDOW,
    seed: int = 0,
) -> Path:
    """Write a sentence-transformers folder; see `folder_of`."""
    folder = Path(tempfile.mkdtemp(dir=_folders.name))
    torch.manual_seed(seed)
    # Tuples stand for lists, so that `folder_of` can tell settings apart.
    config = {name: list(v) if isinstance(v, tuple) else v for name, v in config.items()}
    rope = {name: config.pop(name) for name in list(config) if name in _ROPE}
    if rope:
        config["rope_parameters"] = {"rope_theta": 10_000.0, **rope}
    settings = {**_SHAPE, **kind.config, **config}
    model = AutoModel.from_config(CONFIG_MAPPING[kind.model_type](**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder / "parts")
    build_tokenizer(kind.tokenizer, limit, padding_side).save_pretrained(folder / "parts")
    transformer = Transformer(str(folder / "parts"))
    modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling)]
    modules += [Normalize()] if normalize else []
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"))
    return folder / "model"


@cache
def stock(kind: str, **settings: Any) -> SentenceTransformer:
    """The unmodified model of `folder_of`, loaded once a session: leave it as it is."""
    return SentenceTransformer(str(folder_of(kind, **settings)), device="cpu")


def random_ids(tokenizer: PreTrainedTokenizerBase, n: int, seed: int = 0) -> torch.Tensor:
    """Token ids of words, shape (1, n)."""
    generator = torch.Generator().manual_seed(1000 * seed + n)
    return torch.randint(60, min(len(tokenizer), 180), (1, n), generator=generator)
