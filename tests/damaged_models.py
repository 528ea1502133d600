"""Model folders damaged in the ways that happen, or that somebody may try."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

Damage = Callable[[Path], object]

MARK = "a-pickle-has-run"
"""A file that code in a model folder would make."""


def changed(name: str, **values: Any) -> Damage:
    """A JSON file with other values."""

    def damage(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return damage


def replaced(name: str, content: bytes) -> Damage:
    """A file with another content."""
    return lambda folder: (folder / name).write_bytes(content)


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    """Other tensors."""

    def damage(folder: Path) -> None:
        file = folder / "model.safetensors"
        tensors = {k: v.contiguous() for k, v in change(load_file(file)).items()}
        save_file(tensors, file, metadata={"format": "pt"})

    return damage


class _Runs:
    def __init__(self, place: Path) -> None:
        self._place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self._place), "w"))


def malicious_pickle(folder: Path) -> None:
    """Weights that would run code."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": _Runs(folder / MARK)}))


def welcome_pickle(folder: Path) -> None:
    """The same, and a setting that lets it run."""
    malicious_pickle(folder)
    changed("sentence_bert_config.json", model_args={"weights_only": False})(folder)


def own_code(folder: Path) -> None:
    """A module whose code lies in the folder."""
    (folder / "evil.py").write_text(f"open({str(folder / MARK)!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 9, "name": "9", "path": "", "type": "evil.Evil"})
    (folder / "modules.json").write_text(json.dumps(modules))


def pipe(folder: Path) -> None:
    """A configuration that whoever reads it waits for."""
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def no_tokenizer(folder: Path) -> None:
    """A folder without any of the tokenizer's files."""
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "nested configuration": (replaced("config.json", b"[" * 50_000), "cannot load model"),
    "layers = 10**20": (changed("config.json", num_hidden_layers=10**20), "num_hidden_layers=1000"),
    "too few layers": (changed("config.json", num_hidden_layers=1), "weights for 2 layers"),
    "all weights zero": (
        weights(lambda tensors: {k: torch.zeros_like(v) for k, v in tensors.items()}),
        "all weights .* are zero",
    ),
    "other shapes": (
        weights(lambda tensors: {k: v[:1] for k, v in tensors.items()}),
        "other shapes than its configuration",
    ),
    "no tokenizer": (no_tokenizer, "knows no words"),
    "a malicious pickle": (malicious_pickle, "safetensors"),
    "a pickle that is let in": (welcome_pickle, "lets a pickle run code"),
    "a module of its own": (own_code, "evil"),
    "a kernel of the hub": (
        changed("config.json", _attn_implementation="kernels-community/flash-attn2"),
        "kernels-community/flash-attn2.*would run here",
    ),
    "a kernel of the hub, for a module": (
        changed("sentence_bert_config.json", model_args={"attn_implementation": {"": "a/b"}}),
        "sentence_bert_config.json .*kernel of the hub",
    ),
    "a pipe": (pipe, "config.json' is not a regular file"),
}
"""Each damage, and a regular expression for what is said of it."""


def damaged(model: Path, folder: Path, name: str) -> Path:
    """A damaged copy of a model."""
    shutil.copytree(model, folder)
    damage, _ = DAMAGES[name]
    damage(folder)
    return folder
