"""One hash over everything that changes a vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.model import BaseModel
from torch import Tensor, nn

from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.pooled import following_modules
from longembed_st.base.reader import LongReader, is_widened, long_reader
from longembed_st.base.settings import field_info

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_WEIGHTS = "0.model."
"""How the names of the transformer's own weights begin."""

_QUERY_SETTINGS = ("query_length", "query_expansion")

VERSION = 1
"""To be raised when the same settings begin to give other vectors."""


def fingerprint(model: BaseModel) -> str:
    """Hash the extension, the weights, the tokenizer, prompts, modules and adapters of a model.

    Two models with one fingerprint give the same vectors, up to rounding; store it with vectors
    to know later whether they can be compared. It reads every weight: seconds for large models.

    Args:
        model: An extended model of any class.

    Returns:
        "sha256:" and 64 hexadecimal digits.

    Raises:
        ModelError: If the model was not extended.
    """
    return fingerprint_with_options(model, long_reader(model).extension.changed_options())


def fingerprint_with_options(
    model: BaseModel, options: Mapping[str, Any], separate_openvino: bool = False
) -> str:
    """Hash a model as an earlier version did.

    Args:
        model: An extended model.
        options: The method's options, as that version wrote them.
        separate_openvino: Whether to give OpenVINO in bfloat16 a fingerprint of its own, as
            versions before 0.3 did.
    """
    reader = long_reader(model)
    settings = _settings(model, options)
    rounded_dtype: torch.dtype | None = None
    if reader.engine is not None and reader.engine.precision == "bfloat16":
        if separate_openvino:
            settings |= {"backend": reader.engine.name, "precision": "bfloat16"}
        else:
            rounded_dtype = torch.bfloat16
    digest = hashlib.sha256()
    digest.update(json.dumps(settings, sort_keys=True).encode())
    original_dtype = reader.widened_from
    for name, tensor in sorted(model.state_dict().items()):
        if name.startswith(_WEIGHTS) and tensor.dtype == torch.float32:
            # The weights count as they are computed with: those that both engines round to
            # bfloat16 are equal, and widening is exact.
            if rounded_dtype is not None:
                tensor = tensor.to(rounded_dtype)
            elif original_dtype is not None and is_widened(tensor, original_dtype):
                tensor = tensor.to(original_dtype)
        _hash_tensor(digest, name, tensor)
    return f"sha256:{digest.hexdigest()}"


def hash_weights(digest: Hash, module: nn.Module) -> None:
    """Add the weights of a module to a hash."""
    for name, tensor in sorted(module.state_dict().items()):
        _hash_tensor(digest, name, tensor)


def _hash_tensor(digest: Hash, name: str, tensor: Tensor) -> None:
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    values = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(values.view(torch.uint8).numpy().data)


def _settings(model: BaseModel, options: Mapping[str, Any]) -> dict[str, Any]:
    reader = long_reader(model)
    tokenizer = reader.text_tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary: Any = sorted(tokenizer.get_vocab().items())
    if backend is not None:
        vocabulary = json.loads(backend.to_str())
        # The last call leaves these two behind.
        for name in ("truncation", "padding"):
            vocabulary.pop(name, None)
    extension = {
        name: getattr(reader.extension, name)
        for name in ExtensionConfig.model_fields.keys() - {"method_options"}
        if field_info(name)["affects_vectors"]
    }
    architecture = reader.config.to_dict()
    for volatile in ("transformers_version", "_name_or_path", "dtype", "architectures"):
        architecture.pop(volatile, None)
    # Measured: engines of one precision differ by rounding alone; see docs/BACKENDS.md.
    return {
        "version": VERSION,
        "extension": extension | {"options": dict(options)},
        "architecture": architecture,
        "tokenizer": vocabulary,
        "truncation_side": tokenizer.truncation_side,
        "prompts": model.prompts,
        "default_prompt_name": model.default_prompt_name,
        **_adapters(model),
        **_class_settings(model, reader),
        "modules": [
            (type(module).__name__, getattr(module, "get_config_dict", dict)())
            for module in following_modules(model)
        ],
    }


def _adapters(model: BaseModel) -> dict[str, Any]:
    """Return which adapters of PEFT (LoRA and others) act in which layers; empty without any.

    Their weights are among the model's. Layers are known by PEFT's public attributes, so that PEFT
    need not be installed.
    """
    layers: dict[str, Any] = {}
    for name, layer in model.named_modules():
        merged = getattr(layer, "merged_adapters", None)
        if not isinstance(merged, list):
            continue
        # Adapters that are disabled or merged add nothing; merged ones are in the weights.
        is_applied = not (layer.disable_adapters or merged)
        active = list(layer.active_adapters) if is_applied else []
        scaling = getattr(layer, "scaling", {})
        layers[name] = {
            "active": [(adapter, scaling.get(adapter)) for adapter in active],
            "merged": merged,
        }
    return {"adapters": layers} if layers else {}


def _class_settings(model: BaseModel, reader: LongReader) -> dict[str, Any]:
    """Return the settings that only models of one class have."""
    if isinstance(model, SentenceTransformer):
        settings: dict[str, Any] = {"truncate_dim": model.truncate_dim}
    else:
        settings = {"class": model.model_type, "combine": reader.extension.combine}
        settings |= {name: getattr(reader, name, None) for name in _QUERY_SETTINGS}
    pooling = getattr(reader, "pooling", None)
    return settings if pooling is None else {**settings, "pooling": pooling.get_config_dict()}
