"""Model folders damaged in every way that one can think of."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
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


def without(name: str, *keys: str) -> Damage:
    """A JSON file without some keys."""

    def damage(folder: Path) -> None:
        file = folder / name
        data = {k: v for k, v in json.loads(file.read_text()).items() if k not in keys}
        file.write_text(json.dumps(data))

    return damage


def replaced(name: str, content: bytes) -> Damage:
    """A file with another content."""

    return lambda folder: (folder / name).write_bytes(content)


def halved(name: str) -> Damage:
    """A file cut off in the middle."""

    def damage(folder: Path) -> None:
        file = folder / name
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2])

    return damage


def removed(name: str) -> Damage:
    """A file that is not there."""
    return lambda folder: (folder / name).unlink(missing_ok=True)


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


def corrupt_pickle(folder: Path) -> None:
    """Weights that are no pickle at all."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04junk" * 100)


def own_code(folder: Path) -> None:
    """A module whose code lies in the folder."""
    (folder / "evil.py").write_text(f"open({str(folder / MARK)!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 9, "name": "9", "path": "", "type": "evil.Evil"})
    (folder / "modules.json").write_text(json.dumps(modules))


def modules(*types: object) -> Damage:
    """A list of other modules."""

    def damage(folder: Path) -> None:
        rows = json.loads((folder / "modules.json").read_text())
        rows = [{**row, "type": kind} for row, kind in zip(rows, types, strict=False)]
        (folder / "modules.json").write_text(json.dumps(rows))

    return damage


def _nan(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(tensor, float("nan")) for name, tensor in tensors.items()}


CONFIG, POOLING, TOKENIZER = "config.json", "1_Pooling/config.json", "tokenizer.json"
JUNK = {
    "empty": b"",
    "junk": b"\x00\xff\x13junk",
    "a list": b"[1, 2]",
    "a number": b"7",
    "null": b"null",
    "nested": b"[" * 50_000,
    "a huge number": b"1" + b"0" * 6000,
}

DAMAGES: dict[str, Damage] = {
    **{
        f"{name} is {what}": replaced(name, content)
        for name in (
            CONFIG,
            "modules.json",
            TOKENIZER,
            "tokenizer_config.json",
            "config_sentence_transformers.json",
            "sentence_bert_config.json",
        )
        for what, content in JUNK.items()
    },
    **{
        f"{key} = {value!r}": changed(CONFIG, **{key: value})
        for key in (
            "num_attention_heads",
            "hidden_size",
            "vocab_size",
            "num_hidden_layers",
            "intermediate_size",
            "max_position_embeddings",
            "type_vocab_size",
        )
        for value in (0, -1, 1.5, "x", None, [1], True, 10**20)
    },
    "fewer layers than the checkpoint": changed(CONFIG, num_hidden_layers=1),
    "more layers than the checkpoint": changed(CONFIG, num_hidden_layers=3),
    "a smaller vocabulary than the tokenizer": changed(CONFIG, vocab_size=10),
    "heads that do not divide the width": changed(CONFIG, num_attention_heads=5),
    "an unknown activation": changed(CONFIG, hidden_act="nonsense"),
    "an unknown model type": changed(CONFIG, model_type="nonsense"),
    "a model type that is a list": changed(CONFIG, model_type=["bert"]),
    "no model type": without(CONFIG, "model_type", "architectures"),
    "an epsilon that is a word": changed(CONFIG, layer_norm_eps="x"),
    "code of its own": changed(CONFIG, auto_map={"AutoModel": "evil.Evil"}),
    "a module of its own": own_code,
    "a malicious pickle": malicious_pickle,
    "a corrupt pickle": corrupt_pickle,
    "no weights": removed("model.safetensors"),
    "half the weights": halved("model.safetensors"),
    "empty weights": replaced("model.safetensors", b""),
    "junk for weights": replaced("model.safetensors", b"junk" * 999),
    "a header beyond the file": replaced(
        "model.safetensors", struct.pack("<Q", 2**60) + b"{}" + b"\0" * 64
    ),
    "all weights zero": weights(lambda t: {k: torch.zeros_like(v) for k, v in t.items()}),
    "all weights NaN": weights(_nan),
    "weights of other names": weights(lambda t: {f"x.{k}": v for k, v in t.items()}),
    "weights of other shapes": weights(lambda t: {k: v[:1] for k, v in t.items()}),
    "a smaller table of tokens": weights(
        lambda t: {k: v[:20] if "word_embeddings" in k else v for k, v in t.items()}
    ),
    "no layers among the weights": weights(
        lambda t: {k: v for k, v in t.items() if "layer.1." not in k}
    ),
    "half the tokenizer": halved(TOKENIZER),
    "no tokenizer": lambda folder: [
        removed(name)(folder) for name in (TOKENIZER, "tokenizer_config.json", "vocab.txt")
    ],
    "modules of unknown types": modules("no.Such", "no.Such"),
    "modules of types that are numbers": modules(1, 2),
    "a module that is a function": modules("os.system", "os.system"),
    "only a transformer": modules("sentence_transformers.models.Transformer"),
    "no modules": modules(),
    "modules in the wrong order": modules(
        "sentence_transformers.models.Pooling", "sentence_transformers.models.Transformer"
    ),
    "pooling of another width": changed("1_Pooling/config.json", word_embedding_dimension=7),
    "pooling of negative width": changed("1_Pooling/config.json", word_embedding_dimension=-3),
    "pooling of no width": without("1_Pooling/config.json", "word_embedding_dimension"),
    "pooling of an unknown mode": changed("1_Pooling/config.json", pooling_mode="nonsense"),
    "a limit that is a word": changed("sentence_bert_config.json", max_seq_length="x"),
    "a negative limit": changed("sentence_bert_config.json", max_seq_length=-5),
    "a limit of nothing": changed("sentence_bert_config.json", max_seq_length=0),
    "a huge tokenizer limit": changed("tokenizer_config.json", model_max_length=10**40),
    "prompts that are numbers": changed("config_sentence_transformers.json", prompts={"query": 7}),
    "prompts that are a list": changed("config_sentence_transformers.json", prompts=["query"]),
    "an unknown default prompt": changed(
        "config_sentence_transformers.json", default_prompt_name="nonsense"
    ),
    "an unknown similarity": changed(
        "config_sentence_transformers.json", similarity_fn_name="nonsense"
    ),
}


def damaged(model: Path, folder: Path, name: str) -> Path:
    """A damaged copy of a model.

    Args:
        model: A saved model.
        folder: Where to; does not exist.
        name: The damage.
    """
    shutil.copytree(model, folder)
    DAMAGES[name](folder)
    return folder
