"""From a model's name to a model that reads long texts."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import sentence_transformers
import torch
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.util import batch_to_device, get_device_name, truncate_embeddings
from torch import nn

from longembed_st.base.fields import UNSET, Unset, takes_settings
from longembed_st.base.long_model import LongModel
from longembed_st.base.pooled import PooledPasses
from longembed_st.base.settings import ModelSettings
from longembed_st.compat import (
    is_shape_mismatch,
    load_with_modules,
    without_half_precision_advice,
)
from longembed_st.cross_encoder.model import LongCrossEncoder
from longembed_st.cross_encoder.transformer import LongPairTransformer
from longembed_st.errors import ConfigError, LongEmbedError, ModelError
from longembed_st.loading.convert import native_checkpoint
from longembed_st.loading.extend import extended, refuse_other_method
from longembed_st.loading.hub import (
    ModelType,
    checkpoint_json,
    hub_arguments,
    model_type_of,
    refuse_unknown_model,
)
from longembed_st.loading.published import PUBLISHED
from longembed_st.loading.sanity import (
    refuse_impossible_config,
    refuse_meaningless,
    refuse_random_weights,
    refuse_unsafe_arguments,
)
from longembed_st.loading.whitening import Whitening, attach_whitening
from longembed_st.loading.widen import transformers_of, widen
from longembed_st.multi_vector_encoder.model import LongMultiVectorEncoder
from longembed_st.multi_vector_encoder.transformer import LongTokenTransformer
from longembed_st.positions import checks
from longembed_st.positions.method import get_method
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.transformer import LongTransformer
from longembed_st.sparse_encoder.model import LongSparseEncoder
from longembed_st.sparse_encoder.transformer import LongSpladeTransformer, PooledSplade

if TYPE_CHECKING:
    from longembed_st.backends.openvino import OpenVino, Precision

logger = logging.getLogger(__name__)

SAVED_CLASSES: dict[str, type[nn.Module]] = {
    f"longembed_st.{module.__name__}": module
    for module in (
        LongTransformer,
        PooledPasses,
        LongSpladeTransformer,
        PooledSplade,
        LongTokenTransformer,
        LongPairTransformer,
    )
}
"""Our modules, by what saved models call them: their names must stay."""

_LONG_CLASSES: dict[ModelType, type[LongModel]] = {
    "SentenceTransformer": LongSentenceTransformer,
    "SparseEncoder": LongSparseEncoder,
    "MultiVectorEncoder": LongMultiVectorEncoder,
    "CrossEncoder": LongCrossEncoder,
}


@overload
def load(
    model_name_or_path: str | os.PathLike[str],
    method: str | Unset = UNSET,
    *,
    model_type: Literal["SparseEncoder"],
    **settings: Any,
) -> LongSparseEncoder: ...


@overload
def load(
    model_name_or_path: str | os.PathLike[str],
    method: str | Unset = UNSET,
    *,
    model_type: Literal["MultiVectorEncoder"],
    **settings: Any,
) -> LongMultiVectorEncoder: ...


@overload
def load(
    model_name_or_path: str | os.PathLike[str],
    method: str | Unset = UNSET,
    *,
    model_type: Literal["CrossEncoder"],
    **settings: Any,
) -> LongCrossEncoder: ...


@overload
def load(
    model_name_or_path: str | os.PathLike[str],
    method: str | Unset = UNSET,
    *,
    model_type: Literal["SentenceTransformer"] | None = None,
    **settings: Any,
) -> LongSentenceTransformer: ...


@takes_settings(ModelSettings)
def load(
    model_name_or_path: str | os.PathLike[str], method: str | Unset = UNSET, **settings: Any
) -> LongModel:
    """Load a sentence-transformers model so that it reads long texts.

    The class is the one that the checkpoint names: a SentenceTransformer, a SparseEncoder, a
    MultiVectorEncoder (late interaction) or a CrossEncoder. `model_type` names it for checkpoints
    that do not, and for type checkers, which otherwise take it for the first.

    A folder saved from an extended model comes back as it was saved, but for the settings given;
    given as its default, a setting counts all the same.

    Args:
        model_name_or_path: Folder or Hugging Face hub name of any text model.
        method: One of `methods()`, or "auto", the default, for the best known one of the model's
            family.
        **settings: The fields of `ModelSettings`: `max_seq_length`, by default no upper length for
            pcw, the original window for none, eight times the original window otherwise;
            `original_max_seq_length`, by default the smaller of the model's sentence-transformers
            limit and the positions that it has; `logn_scaling`, `on_overflow`, `token_budget`,
            `device`, `prompts`, `whitening`, `cache_folder`, `model_type`, `combine`. Further the
            method's own options, and any other argument of the model's class.

    Returns:
        A model of the class, extended.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot be loaded whole, or cannot take the method.
    """
    if not isinstance(model_name_or_path, (str, os.PathLike)):
        raise ConfigError(
            f"{model_name_or_path!r} is not a model; give a folder, or a name on the Hugging Face "
            "hub"
        )
    name = str(model_name_or_path)
    return load_any(ModelSettings.from_keywords(model_name=name, method=method, **settings))


def load_settings(settings: ModelSettings) -> LongSentenceTransformer:
    """Load the model of some settings, which must give one vector a text; see `load`."""
    model = load_any(settings)
    if not isinstance(model, LongSentenceTransformer):
        raise ModelError(
            f"{settings.model_name!r} is a {model.model_type}, and here a SentenceTransformer is "
            "needed, which gives one dense vector a text. Cross-encoders and late-interaction "
            "models rerank: `longembed search --rerank`, or reranker= of a retriever"
        )
    return model


def load_any(settings: ModelSettings) -> LongModel:
    """Load the model of some settings, of whatever class it is; see `load`."""
    assert settings.model_name is not None
    name = settings.model_name
    if settings.backend == "auto":
        return _load_on_fastest_engine(settings)
    refuse_unknown_model(name, settings.loading_arguments())
    try:
        model = _load(name, settings)
        if settings.backend == "openvino":
            model.long_transformer.set_engine(_openvino(settings))
        if settings.whitening is not None:
            if not isinstance(model, LongSentenceTransformer):
                raise ModelError(f"a {model.model_type} cannot be whitened; leave whitening out")
            attach_whitening(model, Whitening.read(settings.whitening), settings.whitening)
        _try_out(model)
    except LongEmbedError:
        raise
    # A damaged folder, and arguments out of range, end in errors of every kind.
    except Exception as error:
        raise ModelError(f"cannot load model {name!r}: {_reason(error)}") from error
    return model


def _load_on_fastest_engine(settings: ModelSettings) -> LongModel:
    """Load a model with OpenVINO where that can compute it, otherwise with torch."""
    on_cpu = (settings.device or get_device_name()) == "cpu"
    if on_cpu and settings.dtype in (None, "float32", "bfloat16") and find_spec("openvino"):
        try:
            return load_any(settings.model_copy(update={"backend": "openvino"}))
        except ModelError as error:
            logger.info("torch computes the model, as OpenVINO cannot: %s", error)
    return load_any(settings.model_copy(update={"backend": "torch"}))


def _openvino(settings: ModelSettings) -> OpenVino:
    # Its libraries are those of an extra.
    from longembed_st.backends.openvino import OpenVino

    return OpenVino(cast("Precision", settings.dtype or "float32"))


@torch.inference_mode()
def _try_out(model: LongModel) -> None:
    """Read a word: some faults of a configuration show only then."""
    model.eval()
    word: Any = ("a", "a") if isinstance(model, LongCrossEncoder) else "a"
    task = {"task": "document"} if isinstance(model[0], Router) else {}
    features = model(batch_to_device(model.preprocess([word], **task), model.device), **task)
    if isinstance(model, LongSentenceTransformer):
        truncate_embeddings(features["sentence_embedding"], model.truncate_dim)


def _load(name: str, settings: ModelSettings) -> LongModel:
    published = PUBLISHED.get(name)
    if published is not None:
        own = published.settings.method
        method = settings.explicit.get("method", own)
        if method != own and get_method(own).tied_to_checkpoint:
            refuse_other_method(own, method)
        settings = settings.with_defaults(published.settings)
    arguments = settings.loading_arguments()
    where = hub_arguments(arguments)
    refuse_impossible_config(name, where)
    refuse_unsafe_arguments(name, where)
    model_type = settings.model_type or model_type_of(name, arguments)
    if was_saved_extended(name, arguments):
        with without_half_precision_advice():
            model = load_with_modules(_LONG_CLASSES[model_type], name, SAVED_CLASSES, **arguments)
        refuse_meaningless(model.long_transformer, name, where)
        widen(model, settings)
        return extended(model, settings.with_defaults(model.long_transformer.extension))
    with native_checkpoint(name, arguments) as source, without_half_precision_advice():
        stock_class = cast("type[BaseModel]", getattr(sentence_transformers, model_type))
        plain = stock_class(source, **arguments)
    for module in transformers_of(plain):
        checks.refuse_missing_weights(module.model, name)
        refuse_meaningless(module, name, where)
    refuse_random_weights(plain, name, where)
    widen(plain, settings)
    if published is not None and published.normalize:
        plain.append(Normalize())
    return extended(plain, settings)


def _reason(error: Exception) -> str:
    """Return what went wrong while loading, in one line, without advice that does not fit."""
    if isinstance(error, UnpicklingError):
        return (
            "its weights are a pickle that is damaged, or that would run code. Take it from its "
            "source as safetensors"
        )
    if is_shape_mismatch(error):
        return "its weights have other shapes than its configuration says"
    reason = str(error).strip().split("\n")[0].rstrip(".")
    if isinstance(error, OSError | ValueError | RuntimeError):
        return reason
    return f"{type(error).__name__}: {reason}"


def was_saved_extended(model_name_or_path: str, model_kwargs: dict[str, Any]) -> bool:
    """Whether the folder or repository holds a model that was extended and saved."""
    where = hub_arguments(model_kwargs)
    types = []
    for module in checkpoint_json(model_name_or_path, "modules.json", where) or []:
        types.append(module["type"])
        if module["type"].endswith(".Router"):
            place = ("router_config.json", where, module["path"])
            routes = checkpoint_json(model_name_or_path, *place) or {}
            types += routes.get("types", {}).values()
    return any(kind in SAVED_CLASSES for kind in types)
