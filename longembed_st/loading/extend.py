"""From a loaded model of any class to one that reads long texts."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from typing import Any, NoReturn, cast, overload

from sentence_transformers import (
    CrossEncoder,
    MultiVectorEncoder,
    SentenceTransformer,
    SparseEncoder,
)
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.modules import Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding, SpladePooling
from torch import nn

from longembed_st.base.extension import AUTO, ExtensionConfig
from longembed_st.base.fields import UNSET, Unset, takes_settings
from longembed_st.base.long_model import LongModel
from longembed_st.base.pooled import PooledPasses
from longembed_st.base.reader import LongReader
from longembed_st.base.sharing import copy_sharing_weights
from longembed_st.cross_encoder.model import LongCrossEncoder
from longembed_st.cross_encoder.transformer import LongPairTransformer
from longembed_st.errors import ConfigError, ModelError
from longembed_st.multi_vector_encoder.model import LongMultiVectorEncoder
from longembed_st.multi_vector_encoder.transformer import LongTokenTransformer
from longembed_st.positions import checks
from longembed_st.positions.family import Family, family_of
from longembed_st.positions.method import Context, get_method, methods
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.transformer import LongTransformer
from longembed_st.sparse_encoder.model import LongSparseEncoder
from longembed_st.sparse_encoder.transformer import LongSpladeTransformer

logger = logging.getLogger(__name__)

Modules = OrderedDict[str, nn.Module]

POOLING = "1"
"""The name of the pooling among the modules of an extended model."""

ANY_LENGTH = 10**9
"""Tokens: the limit of a tokenizer whose module has no positions."""


@overload
def extend(
    model: SentenceTransformer, method: str | Unset = UNSET, **settings: Any
) -> LongSentenceTransformer: ...


@overload
def extend(
    model: SparseEncoder, method: str | Unset = UNSET, **settings: Any
) -> LongSparseEncoder: ...


@overload
def extend(
    model: CrossEncoder, method: str | Unset = UNSET, **settings: Any
) -> LongCrossEncoder: ...


@overload
def extend(
    model: MultiVectorEncoder, method: str | Unset = UNSET, **settings: Any
) -> LongMultiVectorEncoder: ...


@takes_settings(ExtensionConfig)
def extend(model: BaseModel, method: str | Unset = UNSET, **settings: Any) -> LongModel:
    """Extend a loaded model; the model itself stays as it is.

    Both share their weights until one of them is moved or cast. Training one in place changes both:
    deep-copy it first.

    Args:
        model: A SentenceTransformer whose first modules are a Transformer and its Pooling; a
            SparseEncoder with a SpladePooling or a Pooling there, or a Router of such;
            a MultiVectorEncoder; a CrossEncoder; or a model that was extended before, whose
            extension is then replaced.
        method: See `load`.
        **settings: The fields of `ExtensionConfig`, and the method's own options; see `load`.

    Returns:
        A new model of the same class.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot take the method.
    """
    return extended(model, ExtensionConfig.from_keywords(method=method, **settings))


def extended(model: BaseModel, settings: ExtensionConfig) -> LongModel:
    """Make a model of the same class that reads long texts; see `extend`."""
    result = _extended(model, settings)
    result.module_kwargs = model.module_kwargs
    return result


def _extended(model: BaseModel, settings: ExtensionConfig) -> LongModel:
    children: Modules = OrderedDict(model.named_children())
    if isinstance(model, CrossEncoder):
        if settings.combine is None:
            settings = settings.model_copy(update={"combine": "max"})
        modules = _unpooled(children, settings, LongPairTransformer, "CrossEncoder")
        return LongCrossEncoder(**_common(model, modules), activation_fn=model.activation_fn)
    if settings.combine is not None:
        raise ConfigError(
            f"combine={settings.combine!r} says how a CrossEncoder makes one score of those of "
            "windows; this model is not a CrossEncoder: leave it out"
        )
    if isinstance(model, SentenceTransformer):
        return LongSentenceTransformer(
            **_common(model, _pooled(children, settings)),
            similarity_fn_name=model.similarity_fn_name,
            truncate_dim=model.truncate_dim,
        )
    if isinstance(model, SparseEncoder):
        return LongSparseEncoder(
            **_common(model, _sparse_modules(children, settings)),
            similarity_fn_name=model.similarity_fn_name,
            max_active_dims=model.max_active_dims,
        )
    if isinstance(model, MultiVectorEncoder):
        modules = _unpooled(children, settings, LongTokenTransformer, "MultiVectorEncoder")
        return LongMultiVectorEncoder(
            **_common(model, modules), similarity_fn_name=model.similarity_fn_name
        )
    raise ModelError(f"models of class {type(model).__name__} cannot be extended")


def _common(model: BaseModel, modules: Modules) -> dict[str, Any]:
    """Return the arguments that models of every class are made with."""
    return {
        # An OrderedDict is as good as a list here, and keeps the modules' names.
        "modules": modules,
        "device": str(model.device),
        "prompts": dict(model.prompts),
        "default_prompt_name": model.default_prompt_name,
        # Where the weights come from, for the cards of trained models.
        "model_card_data": copy.copy(model.model_card_data),
    }


def _transformer(children: Modules, kind: str) -> Transformer:
    first = next(iter(children.values()))
    if isinstance(first, Transformer):
        return first
    raise ModelError(
        f"a {kind} whose first module is a {type(first).__name__} cannot be extended: longembed-st "
        "needs a Transformer there"
    )


def _unpooled(
    children: Modules, settings: ExtensionConfig, reader: type[LongReader], kind: str
) -> Modules:
    """Modules that begin with a transformer without a pooling behind it."""
    transformer = _transformer(children, kind)
    first, *rest = children
    extended_copy = reader.extended_copy(transformer, _with_windows(transformer, settings))
    return OrderedDict(
        {first: extended_copy, **{name: copy_sharing_weights(children[name]) for name in rest}}
    )


def _pooled(children: Modules, settings: ExtensionConfig) -> Modules:
    """Modules that begin with a transformer and its pooling, and pool by passes."""
    transformer, pooling, rest = _take_apart(children)
    reader = LongTransformer.extending(transformer, pooling, _with_windows(transformer, settings))
    return OrderedDict([("0", reader), (POOLING, reader.pooling), *rest.items()])


def _sparse_modules(children: Modules, settings: ExtensionConfig) -> Modules:
    """Return the modules of a sparse encoder, or those of a route of one."""
    names = list(children)
    first = children[names[0]]
    if isinstance(first, Router):
        return OrderedDict({**children, names[0]: _routed(first, settings)})
    pooling = children[names[1]] if len(names) > 1 else None
    if not isinstance(pooling, SpladePooling):
        return _pooled(children, settings)
    transformer = _transformer(children, "SparseEncoder")
    reader = LongSpladeTransformer.extending(
        transformer, pooling, _with_windows(transformer, settings)
    )
    behind = {name: copy_sharing_weights(children[name]) for name in names[2:]}
    return OrderedDict({names[0]: reader, names[1]: reader.pooling, **behind})


def _routed(router: Router, settings: ExtensionConfig) -> Router:
    """Return a router whose routes through a transformer read long texts; others stay as is."""
    result = copy_sharing_weights(router)
    routes = cast("dict[str, nn.Sequential]", result.sub_modules)
    reads_long = False
    for name, route in routes.items():
        if isinstance(route[0], Transformer):
            modules = _sparse_modules(OrderedDict(route.named_children()), settings)
            routes[name] = nn.Sequential(modules)
            reads_long = True
        elif isinstance(route[0], SparseStaticEmbedding):
            # It looks up tokens and has no positions: nothing of a query need be cut.
            cast(Any, route[0].tokenizer).model_max_length = ANY_LENGTH
            route[0].max_seq_length = ANY_LENGTH
    if not reads_long:
        raise ModelError("none of the routes of this model begins with a Transformer")
    return result


def _with_windows(transformer: Transformer, settings: ExtensionConfig) -> ExtensionConfig:
    """Return the settings with a method and windows."""
    family = family_of(transformer.config)
    present = transformer if isinstance(transformer, LongReader) else None
    original = settings.original_max_seq_length
    if original is None:
        original = (
            checks.original_window(transformer, family)
            if present is None
            else present.extension.context.original
        )
    name = settings.method
    if name == AUTO:
        name = _choose(family, original, settings.max_seq_length)
    if present is not None and present.method.tied_to_checkpoint and name != present.method.name:
        refuse_other_method(present.method.name, name)
    reach = settings.max_seq_length
    if reach is None:
        reach = get_method(name).default_max_seq_length(original)
    fields = {field: getattr(settings, field) for field in ExtensionConfig.model_fields}
    windows = {"method": name, "original_max_seq_length": original, "max_seq_length": reach}
    return ExtensionConfig(**{**fields, **windows})


def _take_apart(children: Modules) -> tuple[Transformer, Pooling, Modules]:
    """Return the transformer, its pooling, and copies of the modules after them."""
    names = list(children)
    first = children[names[0]]
    if isinstance(first, LongTransformer):
        rest = [name for name in names[1:] if not isinstance(children[name], PooledPasses)]
        transformer, pooling = first, cast(Pooling, first.pooling)
    elif (
        isinstance(first, Transformer)
        and len(names) > 1
        and isinstance(children[names[1]], Pooling)
    ):
        transformer, pooling, rest = first, cast(Pooling, children[names[1]]), names[2:]
    else:
        kinds = ", ".join(type(child).__name__ for child in children.values())
        raise ModelError(
            f"a model of the modules {kinds} cannot be extended: longembed-st needs a Transformer "
            "followed by its Pooling"
        )
    # Other people's models may have a module of the name that the pooling gets.
    numbered = [str(number) for number in range(2, len(rest) + 2)]
    names = numbered if POOLING in rest else rest
    behind = [copy_sharing_weights(children[name]) for name in rest]
    copies = OrderedDict(zip(names, behind, strict=True))
    return transformer, pooling, copies


def refuse_other_method(tied: str, method: str) -> NoReturn:
    """Raise `ModelError`: a checkpoint was made for one method."""
    raise ModelError(
        f"this checkpoint's position table can only be read with method {tied!r}; extend the "
        f"original model to use {method!r}"
    )


def _choose(family: Family, original: int, extended: int | None) -> str:
    """Return the affordable method of highest rank for the family's position encoding."""
    candidates = []
    for name, method in methods().items():
        if family.encoding in method.recommended_for and family.takes(method):
            reach = extended or method.default_max_seq_length(original)
            if method.is_affordable(Context(original, reach)):
                candidates.append((method.recommended_for[family.encoding], name))
    if not candidates:
        raise ConfigError(
            f"no installed method recommends itself for {family.encoding} positions; name one"
        )
    choice, name = max(candidates, key=lambda candidate: candidate[0].rank)
    logger.info(
        "method='auto' chose %r for model type %r (%s positions): %s",
        name,
        family.model_type,
        family.encoding,
        choice.evidence,
    )
    return name
