"""Checks of the arguments that a model's own files pass to transformers."""

from __future__ import annotations

from typing import Any

from longembed_st.errors import ModelError
from longembed_st.loading.hub import checkpoint_json

_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The first that a model has is read, as sentence-transformers does."""

_FIELDS = tuple(
    f"{part}_{suffix}"
    for part in ("model", "tokenizer", "processor", "config")
    for suffix in ("args", "kwargs")
)

_UNSAFE = {
    "weights_only": "lets a pickle run code",
    "offload_folder": "chooses where files are written",
    "proxies": "chooses a proxy for downloads",
}
"""Arguments of transformers that are refused unless they are None or True, and what they do."""


def refuse_unsafe_arguments(name: str, where: dict[str, Any]) -> None:
    """Raise `ModelError` if a model's files let code in its weights run, or choose where to write.

    Args:
        name: Folder or hub name.
        where: Arguments that say where to look; see `hub_arguments`.
    """
    modules = checkpoint_json(name, "modules.json", where)
    for module in modules if isinstance(modules, list) else []:
        if not str(module.get("type")).endswith("Transformer"):
            continue
        for file in _FILES:
            settings = checkpoint_json(name, file, where, str(module.get("path", "")))
            if isinstance(settings, dict):
                _check(name, file, settings)
                break


def _check(name: str, file: str, settings: dict[str, Any]) -> None:
    for field in _FIELDS:
        arguments = settings.get(field)
        if not isinstance(arguments, dict):
            continue
        for argument, effect in _UNSAFE.items():
            if arguments.get(argument) not in (None, True):
                raise ModelError(
                    f"{file} of {name!r} {effect} (in {field}), which a model may not do. Fetch "
                    "the model again, or take that out"
                )
