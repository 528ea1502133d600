"""Which class of models a checkpoint is for."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal, cast, get_args

from longembed_st.loading.hub import checkpoint_json, hub_arguments
from longembed_st.loading.sanity import STANFORD

ModelType = Literal["SentenceTransformer", "SparseEncoder", "MultiVectorEncoder", "CrossEncoder"]
"""The classes of sentence-transformers, by the names that it saves."""

_PYLATE = "ColBERT"
_SPARSE = ("SpladePooling", "MLMTransformer", "SparseAutoEncoder", "SparseStaticEmbedding")


def model_type_of(name: str, arguments: dict[str, Any]) -> ModelType:
    """Find the class that a checkpoint is for; a SentenceTransformer if it does not say.

    Args:
        name: Folder or hub name.
        arguments: Those of loading, which say where to look.
    """
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
