"""Checkpoints that came with code for an old transformers, turned into ones it knows itself.

Their code is never run: the weights are renamed for a class that computes the same.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import huggingface_hub
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from longembed_st.errors import ModelError
from longembed_st.loading.hub import checkpoint_json, hub_arguments

_E5ROPE_DEFAULTS = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 1536,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 50000,
}
"""The settings that are kept, and what they are where the checkpoint does not say."""

_E5ROPE_NAMES = (
    (r"^(e5rope|bert)\.", ""),
    (r"^encoder\.layer\.", "layers."),
    (r"\.attention\.self\.(query|key|value)\.", lambda m: f".self_attn.{m[1][0]}_proj."),
    (r"\.attention\.output\.dense\.", ".self_attn.o_proj."),
    (r"\.attention\.output\.LayerNorm\.", ".post_attention_layernorm."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"^(layers\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
    (r"^(layers\.\d+)\.output\.LayerNorm\.", r"\1.post_mlp_layernorm."),
)


@contextmanager
def native_checkpoint(model_name_or_path: str, model_kwargs: dict[str, Any]) -> Iterator[str]:
    """Find the name or folder from which transformers can load a model without foreign code.

    Yields:
        The name itself, or a folder that lasts as long as the context.
    """
    where = hub_arguments(model_kwargs)
    config = checkpoint_json(model_name_or_path, "config.json", where) or {}
    if config.get("model_type") != "e5rope":
        yield model_name_or_path
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        _convert_e5rope(_local_folder(model_name_or_path, where), config, Path(folder))
        yield folder


def _native_e5rope_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe BERT with rotary positions as `jina_embeddings_v3`, which computes the same.

    Raises:
        ModelError: If the checkpoint rotates values too, or projects narrower embeddings, which the
            native class does not.
    """
    if config.get("rotary_value"):
        raise ModelError(
            "this E5-RoPE checkpoint rotates values as well (rotary_value), which no class of "
            "transformers computes"
        )
    native = {name: config.get(name, default) for name, default in _E5ROPE_DEFAULTS.items()}
    if config.get("embedding_size") not in (None, native["hidden_size"]):
        raise ModelError(
            f"this E5-RoPE checkpoint has embedding_size={config['embedding_size']} beside "
            f"hidden_size={native['hidden_size']}, which no class of transformers computes"
        )
    return {
        **native,
        "architectures": ["JinaEmbeddingsV3Model"],
        "model_type": "jina_embeddings_v3",
        "rope_parameters": {"rope_type": "default", "rope_theta": config.get("rope_theta", 10000)},
    }


def _native_e5rope_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename E5-RoPE's weights as those of `JinaEmbeddingsV3Model`."""
    renamed = {}
    for name, weight in weights.items():
        for pattern, replacement in _E5ROPE_NAMES:
            name = re.sub(pattern, replacement, name)
        if name.startswith(("layers.", "embeddings.", "pooler.")) and not name.endswith("_ids"):
            renamed[name] = weight.contiguous()
    return renamed


def _convert_e5rope(source: Path, config: Mapping[str, Any], target: Path) -> None:
    for file in source.iterdir():
        if file.is_file() and file.suffix in (".json", ".txt", ".model"):
            shutil.copy(file, target / file.name)
        elif file.is_dir() and (file / "config.json").exists():
            shutil.copytree(file, target / file.name)
    native = json.dumps(_native_e5rope_config(config), indent=2)
    (target / "config.json").write_text(native, encoding="utf8")
    weights = _native_e5rope_weights(_read_weights(source))
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def _read_weights(folder: Path) -> dict[str, Tensor]:
    if (folder / "model.safetensors").exists():
        return load_file(folder / "model.safetensors")
    if (folder / "pytorch_model.bin").exists():
        try:
            return torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        except UnpicklingError as error:
            raise ModelError(
                f"cannot load {folder / 'pytorch_model.bin'}: it holds more than tensors"
            ) from error
    raise ModelError(f"{folder} holds neither model.safetensors nor pytorch_model.bin")


def _local_folder(model_name_or_path: str, where: dict[str, Any]) -> Path:
    if Path(model_name_or_path).is_dir():
        return Path(model_name_or_path)
    where = {"cache_dir" if name == "cache_folder" else name: v for name, v in where.items()}
    patterns = ["*.json", "*.txt", "*.model", "model.safetensors", "pytorch_model.bin"]
    return Path(
        huggingface_hub.snapshot_download(model_name_or_path, allow_patterns=patterns, **where)
    )
