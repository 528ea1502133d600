"""From a model's name to a model that reads long texts."""

from __future__ import annotations

import copy
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.util import batch_to_device, load_file_path, truncate_embeddings
from torch import nn

from longembed_st.compat import load_with_modules
from longembed_st.errors import ConfigError, LongEmbedError, ModelError
from longembed_st.loading.converting import native_checkpoint
from longembed_st.loading.hub import refuse_unknown_model
from longembed_st.loading.published import PUBLISHED
from longembed_st.loading.sanity import (
    hub_arguments,
    refuse_impossible_config,
    refuse_meaningless,
)
from longembed_st.loading.whitening import Whitening, build_in
from longembed_st.model import LongSentenceTransformer
from longembed_st.positions import checks
from longembed_st.positions.family import Family, family_of
from longembed_st.positions.method import Context, get_method, methods
from longembed_st.reading.pooled import PooledPasses
from longembed_st.reading.precision import WIDENED_FROM, half_precision_of, is_emulated
from longembed_st.reading.sharing import copy_sharing_weights
from longembed_st.reading.transformer import LongTransformer, long_transformer
from longembed_st.settings import (
    AUTO,
    UNSET,
    ExtensionConfig,
    ModelSettings,
    Unset,
    takes_settings,
)

if TYPE_CHECKING:
    from longembed_st.backends.openvino import OpenVino, Precision

logger = logging.getLogger(__name__)

MOST_WIDENED = 2_000_000_000
"""Parameters of a model that is widened to single precision: more would fill a laptop's memory."""

SAVED_TYPE = "longembed_st.LongTransformer"
"""How `modules.json` of a saved model names our module. Saved models depend on it."""

SAVED_CLASSES = {SAVED_TYPE: LongTransformer, "longembed_st.PooledPasses": PooledPasses}
"""Our modules, by what saved models call them."""

POOLING = "1"
"""The name of the pooling among the modules of an extended model."""


@takes_settings(ModelSettings)
def load(
    model_name_or_path: str | os.PathLike[str], method: str | Unset = UNSET, **settings: Any
) -> LongSentenceTransformer:
    """Load a sentence-transformers model so that it reads long texts.

    A folder saved from an extended model comes back as it was saved, but for the settings given;
    given as its default, a setting counts all the same.

    Args:
        model_name_or_path: Folder or Hugging Face hub name of any text-embedding model.
        method: One of `methods()`, or "auto", the default, for the best known one of the model's
            family.
        **settings: The fields of `ModelSettings`: `max_seq_length`, by default no upper length for
            pcw, the original window for none, eight times the original window otherwise;
            `original_max_seq_length`, by default the smaller of the model's sentence-transformers
            limit and the positions that it has; `logn_scaling`, `on_overflow`, `token_budget`,
            `device`, `prompts`, `whitening`, `cache_folder`. Beside them the method's own options,
            and any other argument of `SentenceTransformer`.

    Returns:
        A SentenceTransformer.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot be loaded whole, or cannot take the method.
    """
    if not isinstance(model_name_or_path, (str, os.PathLike)):
        raise ConfigError(
            f"{model_name_or_path!r} is no model; give a folder, or a name on the Hugging Face hub"
        )
    name = str(model_name_or_path)
    return load_settings(ModelSettings.from_keywords(model_name=name, method=method, **settings))


def load_settings(settings: ModelSettings) -> LongSentenceTransformer:
    """Load the model of some settings; see `load`.

    Args:
        settings: With a `model_name`.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot be loaded whole, or cannot take the method.
    """
    assert settings.model_name is not None
    name = settings.model_name
    refuse_unknown_model(name, settings.loading())
    try:
        model = _load(name, settings)
        if settings.backend == "openvino":
            model.long_transformer.compute_with(_openvino(settings))
        if settings.whitening is not None:
            build_in(model, Whitening.read(settings.whitening), settings.whitening)
        _try(model)
    except LongEmbedError:
        raise
    # A damaged folder, and arguments out of range, end in errors of every kind.
    except Exception as error:
        raise ModelError(f"cannot load model {name!r}: {_reason(error)}") from error
    return model


def _openvino(settings: ModelSettings) -> OpenVino:
    # Its libraries are those of an extra.
    from longembed_st.backends.openvino import OpenVino

    return OpenVino(cast("Precision", settings.dtype or "float32"))


@torch.inference_mode()
def _try(model: LongSentenceTransformer) -> None:
    """Read a word: some faults of a configuration show only then."""
    model.eval()
    features = model(batch_to_device(model.preprocess(["a"]), model.device))
    truncate_embeddings(features["sentence_embedding"], model.truncate_dim)


def _load(name: str, settings: ModelSettings) -> LongSentenceTransformer:
    published = PUBLISHED.get(name)
    if published is not None:
        settings = _over_published(settings, published.settings)
    arguments = settings.loading()
    where = hub_arguments(arguments)
    refuse_impossible_config(name, where)
    if is_saved_extension(name, arguments):
        with _without_advice():
            model = load_with_modules(LongSentenceTransformer, name, SAVED_CLASSES, **arguments)
        refuse_meaningless(model.long_transformer, name, where)
        _widen(model, settings)
        return _extend(model, settings.over(model.long_transformer.extension))
    with native_checkpoint(name, arguments) as source, _without_advice():
        plain = SentenceTransformer(source, **arguments)
    if isinstance(plain[0], Transformer):
        checks.refuse_missing_weights(plain[0].model, name)
        refuse_meaningless(plain[0], name, where)
    _widen(plain, settings)
    if published is not None and published.normalize:
        plain.append(Normalize())
    return _extend(plain, settings)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Without the advice against half precision, which `_widen` makes needless."""
    told = logging.getLogger("sentence_transformers.base.model")

    def is_other(record: logging.LogRecord) -> bool:
        return "This model was loaded in" not in record.getMessage()

    told.addFilter(is_other)
    try:
        yield
    finally:
        told.removeFilter(is_other)


def _widen(model: SentenceTransformer, settings: ModelSettings) -> None:
    """Compute in single precision on a CPU, or where it was asked for."""
    first = model[0]
    narrow = half_precision_of(first)
    elsewhere = settings.model_kwargs.get("model_kwargs") or {}
    asked = settings.dtype or elsewhere.keys() & {"dtype", "torch_dtype"}
    if settings.backend == "openvino":
        # Weights enter a graph in single precision, whatever it computes in.
        asked = "float32"
    on_cpu = model.device.type == "cpu"
    if narrow is not None and on_cpu and asked and asked != "float32" and is_emulated(narrow):
        logger.warning(
            "this processor has no instructions for %s, which is emulated and slow: leave dtype "
            "out for single precision",
            narrow,
        )
    if narrow is None or (asked and asked != "float32") or not (on_cpu or asked):
        return
    size = sum(parameter.numel() for parameter in model.parameters())
    if size > MOST_WIDENED and not asked:
        logger.warning(
            "computing in half precision, which is slow on a CPU: single precision would take "
            "%.0f GB. Ask for it with dtype='float32'",
            4 * size / 1e9,
        )
        return
    logger.info("weights stored in half precision are computed with in single precision")
    model.float()
    # Noted, so that saving and fingerprints give the weights as they were stored.
    setattr(first, WIDENED_FROM, narrow)


def _reason(error: Exception) -> str:
    """What went wrong while loading, in one line and without advice that we would not give."""
    reason = str(error).strip().split("\n")[0].rstrip(".")
    if isinstance(error, UnpicklingError):
        return (
            "its weights are a pickle that is damaged, or that would run code. Take it from its "
            "source as safetensors"
        )
    if "ignore_mismatched_sizes" in reason:
        return "its weights have other shapes than its configuration says"
    if isinstance(error, OSError | ValueError | RuntimeError):
        return reason
    return f"{type(error).__name__}: {reason}"


@takes_settings(ExtensionConfig)
def extend(
    model: SentenceTransformer, method: str | Unset = UNSET, **settings: Any
) -> LongSentenceTransformer:
    """Extend a loaded model; the model itself stays as it is.

    Both share their weights until one of them is moved or cast. Training one in place changes both:
    deep-copy it first.

    Args:
        model: A SentenceTransformer whose first modules are a Transformer and its Pooling, or a
            model that was extended before, whose extension is then replaced.
        method: See `load`.
        **settings: The fields of `ExtensionConfig`, and the method's own options; see `load`.

    Returns:
        A new SentenceTransformer.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot take the method.
    """
    return _extend(model, ExtensionConfig.from_keywords(method=method, **settings))


def _extend(model: SentenceTransformer, settings: ExtensionConfig) -> LongSentenceTransformer:
    transformer, pooling, rest = _take_apart(model)
    family = family_of(transformer.config)
    original = settings.original_max_seq_length
    if original is None:
        original = _original_window(transformer, family)
    name = settings.method
    if name == AUTO:
        name = _choose(family, original, settings.max_seq_length)
    _refuse_tied_table(transformer, name)
    extended = settings.max_seq_length
    if extended is None:
        extended = get_method(name).default_max_seq_length(original)
    found = {"method": name, "original_max_seq_length": original, "max_seq_length": extended}
    reading = {field: getattr(settings, field) for field in ExtensionConfig.model_fields}
    reader = LongTransformer.extending(
        transformer, pooling, ExtensionConfig(**{**reading, **found})
    )
    result = LongSentenceTransformer(
        # An OrderedDict is as good as a list here, and keeps the modules' names.
        modules=cast(Any, OrderedDict([("0", reader), (POOLING, reader.pooling), *rest.items()])),
        device=str(model.device),
        prompts=cast(dict[str, str], dict(model.prompts)),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
        # Where the weights come from, for the cards of trained models.
        model_card_data=copy.copy(model.model_card_data),
    )
    result.module_kwargs = model.module_kwargs
    return result


def with_whitening(model: LongSentenceTransformer, whitening: Whitening) -> LongSentenceTransformer:
    """A model with a whitening built in; the model itself stays as it is.

    Args:
        model: An extended model.
        whitening: Fitted for it.

    Raises:
        ModelError: If it was fitted for another model, or this one is whitened already.
    """
    whitened = _extend(model, long_transformer(model).extension)
    build_in(whitened, whitening)
    return whitened


def _over_published(settings: ModelSettings, published: ModelSettings) -> ModelSettings:
    """The user's settings over those that a released checkpoint needs."""
    method = settings.given.get("method", published.method)
    if method != published.method and get_method(published.method).tied_to_checkpoint:
        _refuse_other_than(published.method, method)
    return settings.over(published)


def _take_apart(
    model: SentenceTransformer,
) -> tuple[Transformer, Pooling, OrderedDict[str, nn.Module]]:
    """The transformer, its pooling, and copies of the modules after them."""
    children = OrderedDict(model.named_children())
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
        found = ", ".join(type(child).__name__ for child in children.values())
        raise ModelError(
            f"a model of the modules {found} cannot be extended: longembed-st needs a Transformer "
            "followed by its Pooling"
        )
    # Models that others have put together may have a module where the pooling is to stand.
    numbered = [str(number) for number in range(2, len(rest) + 2)]
    names = numbered if POOLING in rest else rest
    behind = [copy_sharing_weights(children[name]) for name in rest]
    copies = OrderedDict(zip(names, behind, strict=True))
    return transformer, pooling, copies


def _original_window(transformer: Transformer, family: Family) -> int:
    if isinstance(transformer, LongTransformer):
        return transformer.extension.context.original
    return checks.original_window(transformer, family)


def _refuse_tied_table(transformer: Transformer, method: str) -> None:
    if isinstance(transformer, LongTransformer):
        present = transformer.method
        if present.tied_to_checkpoint and method != present.name:
            _refuse_other_than(present.name, method)


def _refuse_other_than(tied: str, method: str) -> NoReturn:
    raise ModelError(
        f"this checkpoint's position table can only be read with method {tied!r}; extend the "
        f"original model to use {method!r}"
    )


def _choose(family: Family, original: int, extended: int | None) -> str:
    """The affordable method of highest rank for the family's position encoding."""
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


def is_saved_extension(model_name_or_path: str, model_kwargs: dict[str, Any]) -> bool:
    """Whether the folder or repository holds a model that was extended and saved.

    Args:
        model_name_or_path: What the user named.
        model_kwargs: Arguments of `SentenceTransformer` that say where to look.
    """
    path = load_file_path(model_name_or_path, "modules.json", **hub_arguments(model_kwargs))
    if path is None:
        return False
    with open(path, encoding="utf8") as file:
        return any(module["type"] == SAVED_TYPE for module in json.load(file))
