"""Checks that a model's files belong together.

transformers takes a configuration as it is. Some values end in errors of every kind, others in a
model that loads and gives meaningless vectors. `where` is what `hub.hub_arguments` returns.
"""

from __future__ import annotations

import re
from typing import Any, cast

from safetensors import safe_open
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Transformer
from sentence_transformers.util import load_file_path
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from longembed_st.errors import ModelError
from longembed_st.loading.hub import STANFORD, checkpoint_json

_SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer"), 10_000),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head"), 10_000),
    **dict.fromkeys(("hidden_size", "dim", "n_embd", "intermediate_size"), 1_000_000),
    **dict.fromkeys(("vocab_size",), 100_000_000),
}
"""The largest plausible sizes; building a larger model never ends."""

_SETTINGS = ("config.json", "sentence_bert_config.json", "config_sentence_transformers.json")
"""Files whose settings transformers gets."""

_ARGUMENT_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The first that a model has is read, as sentence-transformers does."""

_ARGUMENT_FIELDS = tuple(
    f"{part}_{suffix}"
    for part in ("model", "tokenizer", "processor", "config")
    for suffix in ("args", "kwargs")
)

_UNSAFE_ARGUMENTS = {
    "weights_only": "lets a pickle run code",
    "offload_folder": "chooses where files are written",
    "proxies": "chooses a proxy for downloads",
}
"""Arguments of transformers that are refused unless they are None or True, and what they do."""

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")
_WAY_OUT = "Fetch the model again"


def refuse_random_weights(model: BaseModel, name: str, where: dict[str, Any]) -> None:
    """Raise `ModelError` if a module has random weights, as the checkpoint has none for it.

    sentence-transformers puts a random projection or autoencoder behind a bare transformer, to be
    trained.
    """
    needed = {"MultiVectorEncoder": ("Dense",), "SparseEncoder": ("SparseAutoEncoder",)}
    kinds = [type(module).__name__ for module in model.children()]
    random = [kind for kind in needed.get(model.model_type, ()) if kind in kinds]
    if not random or load_file_path(name, "modules.json", **where) is not None:
        return
    config = checkpoint_json(name, "config.json", where) or {}
    if STANFORD not in (config.get("architectures") or []):
        raise ModelError(
            f"{name!r} has no weights for the {random[0]} of a {model.model_type}: its vectors "
            f"would be random. To train one, make it with sentence_transformers.{model.model_type} "
            "and extend that: longembed_st.extend(model)"
        )


def refuse_impossible_config(model_name_or_path: str, where: dict[str, Any]) -> None:
    """Raise `ModelError` if a configuration cannot be used, before the model is built.

    A size may be impossible, or it may name code of the hub that transformers would run.
    """
    config = checkpoint_json(model_name_or_path, "config.json", where)
    if config is None:
        return
    if not isinstance(config, dict):
        raise ModelError(
            f"the configuration of {model_name_or_path!r} is not an object. {_WAY_OUT}"
        )
    for name, most in _SIZES.items():
        value = config.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ModelError(
                f"the configuration of {model_name_or_path!r} says {name}={str(value)[:20]}, where "
                f"a number from 1 to {most:,} is expected. {_WAY_OUT}"
            )
    _refuse_kernels(model_name_or_path, where)


def _refuse_kernels(name: str, where: dict[str, Any]) -> None:
    """Raise `ModelError` if a configuration names code of the hub that transformers would run."""
    folders = [""]
    for module in checkpoint_json(name, "modules.json", where) or []:
        folders.append(module["path"])
        routes = checkpoint_json(name, "router_config.json", where, module["path"]) or {}
        folders += [f"{module['path']}/{route}" for route in routes.get("types", {})]
    for folder in dict.fromkeys(folders):
        for file in _SETTINGS:
            kernel = _kernel_of(checkpoint_json(name, file, where, folder))
            if kernel is not None:
                raise ModelError(
                    f"{file} of {name!r} says that a kernel of the hub is used ({kernel}), whose "
                    "code would run here. Remove that; to use a kernel all the same, pass "
                    "model_kwargs={'attn_implementation': ...}"
                )


def _kernel_of(value: Any, is_implementation: bool = False) -> str | None:
    """Return what in some settings stands for code of the hub; None without it."""
    if isinstance(value, str):
        return value if is_implementation and "/" in value else None
    items = value.items() if isinstance(value, dict) else ()
    for name, inner in enumerate(value) if isinstance(value, list) else items:
        if name in ("use_kernels", "kernel_config") and inner:
            return str(name)
        kernel = _kernel_of(inner, is_implementation or str(name).endswith("_implementation"))
        if kernel is not None:
            return kernel
    return None


def refuse_meaningless(
    transformer: Transformer, model_name_or_path: str, where: dict[str, Any]
) -> None:
    """Raise `ModelError` if a model cannot be what its files describe."""
    model, tokenizer = transformer.model, transformer.tokenizer
    if isinstance(model, PreTrainedModel):
        _refuse_left_out_layers(model, model_name_or_path, where)
        if not cast(nn.Embedding, model.get_input_embeddings()).weight.any():
            raise ModelError(f"all weights of {model_name_or_path!r} are zero. {_WAY_OUT}")
    if isinstance(tokenizer, PreTrainedTokenizerBase):
        if not tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens):
            raise ModelError(
                f"the tokenizer of {model_name_or_path!r} knows no words: its files are missing or "
                f"damaged. {_WAY_OUT}"
            )
        limit = tokenizer.model_max_length
        if not isinstance(limit, int | float):
            raise ModelError(f"{model_name_or_path!r} says that it reads {limit!r} tokens")


def _refuse_left_out_layers(
    model: PreTrainedModel, model_name_or_path: str, where: dict[str, Any]
) -> None:
    # The model is there already: nothing is fetched for this.
    path = load_file_path(
        model_name_or_path, "model.safetensors", **{**where, "local_files_only": True}
    )
    if path is None:
        return
    with safe_open(path, framework="pt") as file:
        stored = _layers(file.keys())
    built = _layers(name for name, _ in model.named_parameters())
    if built and stored > built:
        raise ModelError(
            f"{model_name_or_path!r} has weights for {stored} layers, and its configuration has "
            f"only {built}: its vectors would not be those of the model. {_WAY_OUT}"
        )


def _layers(names: Any) -> int:
    numbers = (int(number) for name in names for number in _LAYER.findall(name))
    return 1 + max(numbers, default=-1)


def refuse_unsafe_arguments(name: str, where: dict[str, Any]) -> None:
    """Raise `ModelError` if a model's files let its weights run code, or choose where to write."""
    modules = checkpoint_json(name, "modules.json", where)
    for module in modules if isinstance(modules, list) else []:
        if not str(module.get("type")).endswith("Transformer"):
            continue
        for file in _ARGUMENT_FILES:
            settings = checkpoint_json(name, file, where, str(module.get("path", "")))
            if isinstance(settings, dict):
                _refuse_arguments(name, file, settings)
                break


def _refuse_arguments(name: str, file: str, settings: dict[str, Any]) -> None:
    for field in _ARGUMENT_FIELDS:
        arguments = settings.get(field)
        if not isinstance(arguments, dict):
            continue
        for argument, effect in _UNSAFE_ARGUMENTS.items():
            if arguments.get(argument) not in (None, True):
                raise ModelError(
                    f"{file} of {name!r} {effect} (in {field}), which a model may not do. Fetch "
                    "the model again, or take that out"
                )
