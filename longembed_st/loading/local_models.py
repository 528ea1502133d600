"""The models on this machine: in the caches of the hub, and in installed packages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import huggingface_hub.constants as hub

_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin", "*/model*.safetensors")
_CONFIG, _MODULES = "config.json", "modules.json"
_CACHED = "models--"
"""How the folder of a model in a cache of the hub begins."""


@dataclass(frozen=True)
class LocalModel:
    """A model whose weights are on this machine.

    Attributes:
        name: By which it is loaded: its name on the hub, or its folder.
        source: Where it was found: "hub cache", or the name of the package.
        model_type: The kind of its transformer: bert, xlm-roberta, ...
        window: Its original window in tokens; None if its files do not say it.
        megabytes: The size of its weights.
    """

    name: str
    source: str
    model_type: str
    window: int | None
    megabytes: float


def local_models() -> list[LocalModel]:
    """Return the models that can be loaded without a network, sorted by name; imports no torch."""
    # A package can be on the path of imports twice.
    return sorted({*_cached(), *_packaged()}, key=lambda model: model.name)


def display_name(name: str) -> str:
    """Return what to call a model: its name on the hub, or a part of the path of its folder.

    Args:
        name: The name, or the folder; of one that is called "model", the folder above gives the
            name.
    """
    folder = Path(name).resolve()
    if not folder.is_dir():
        return name
    return (folder.parent if folder.name == "model" else folder).name or name


def _cached() -> Iterator[LocalModel]:
    # sentence-transformers has a cache of its own if this variable is set.
    folders = {hub.HF_HUB_CACHE, os.getenv("SENTENCE_TRANSFORMERS_HOME") or hub.HF_HUB_CACHE}
    for folder in map(Path, sorted(folders)):
        for model in folder.glob(f"{_CACHED}*"):
            try:
                revision = (model / "refs" / "main").read_text(encoding="utf8").strip()
            except OSError:
                continue
            name = model.name.removeprefix(_CACHED).replace("--", "/")
            yield from _in_folder(model / "snapshots" / revision, name, "hub cache")


def _packaged() -> Iterator[LocalModel]:
    for distribution in distributions():
        record = distribution.read_text("RECORD") or ""
        # Most packages have no such file, and their lists are long.
        if f"/{_CONFIG}," not in record:
            continue
        for line in record.splitlines():
            if f"/{_CONFIG}," in line:
                file = distribution.locate_file(line.rsplit(",", 2)[0].strip('"'))
                folder = Path(str(file)).parent
                yield from _in_folder(folder, str(folder), distribution.metadata["Name"])


def _in_folder(folder: Path, name: str, source: str) -> Iterator[LocalModel]:
    weights = {file for pattern in _WEIGHTS for file in folder.glob(pattern)}
    config = _read(folder / _CONFIG)
    # Without modules, only a model whose class is named can be loaded.
    if not weights or not ((folder / _MODULES).is_file() or config.get("architectures")):
        return
    window = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    size = sum(file.stat().st_size for file in weights)
    model_type = str(config.get("model_type") or "-")
    window = window or config.get("max_position_embeddings")
    yield LocalModel(name, source, model_type, window, size / 1e6)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
