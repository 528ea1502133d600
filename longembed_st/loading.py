"""From a model's name to a model that reads long texts."""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from sentence_transformers.util import load_file_path
from torch import nn

from longembed_st import checks
from longembed_st.config import DEFAULT_TOKEN_BUDGET, ExtensionConfig, OverflowPolicy
from longembed_st.converting import native_checkpoint
from longembed_st.errors import ConfigError, InputError, LongEmbedError, ModelError
from longembed_st.family import Family, family_of
from longembed_st.hub import refuse_unknown_model
from longembed_st.method import Context, get_method, methods
from longembed_st.model import LongSentenceTransformer
from longembed_st.overflow import Coverage
from longembed_st.published import PUBLISHED
from longembed_st.sharing import copy_sharing_weights
from longembed_st.transformer import LongTransformer

logger = logging.getLogger(__name__)

AUTO = "auto"
SAVED_TYPE = "longembed_st.LongTransformer"
"""How `modules.json` of a saved model names our module. Saved models depend on it."""


def load(
    model_name_or_path: str | os.PathLike[str],
    method: str = AUTO,
    *,
    max_seq_length: int | None = None,
    original_max_seq_length: int | None = None,
    logn_scaling: bool = False,
    on_overflow: OverflowPolicy = "warn",
    token_budget: int = DEFAULT_TOKEN_BUDGET,
    **options: Any,
) -> LongSentenceTransformer:
    """Load a sentence-transformers model so that it reads long texts.

    A folder saved from an extended model comes back as it was saved, but for the settings given.

    Args:
        model_name_or_path: Folder or Hugging Face hub name of any text-embedding model.
        method: One of `methods()`, or "auto" for the best known default of the model's family.
        max_seq_length: The extended window L_t in tokens. Default: no upper length for pcw, the
            original window for none, eight times the original window otherwise.
        original_max_seq_length: The original window L_o in tokens. Default: the smaller of the
            model's sentence-transformers limit and the positions that it has.
        logn_scaling: Multiply the attention logits by `max(1, log n / log L_o)`.
        on_overflow: "warn", "error" or "truncate" when a text exceeds the extended window.
        token_budget: Most tokens in one forward pass.
        **options: The method's own options, and any argument of `SentenceTransformer`.

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
    model_name_or_path = str(model_name_or_path)
    known = inspect.signature(SentenceTransformer.__init__).parameters
    model_kwargs = {name: options.pop(name) for name in list(options) if name in known}
    settings: dict[str, Any] = {
        "method": method,
        "max_seq_length": max_seq_length,
        "original_max_seq_length": original_max_seq_length,
        "logn_scaling": logn_scaling,
        "on_overflow": on_overflow,
        "token_budget": token_budget,
        **options,
    }
    given = {name: value for name, value in settings.items() if value != _DEFAULTS.get(name)}
    published = PUBLISHED.get(model_name_or_path)
    if published is not None:
        given = {**published.extension, **given}
        model_kwargs.setdefault("prompts", published.prompts)
    refuse_unknown_model(model_name_or_path, model_kwargs)
    try:
        if _is_saved_extension(model_name_or_path, model_kwargs):
            # Not through trust_remote_code, which would also run code found in the folder.
            model = LongSentenceTransformer._load_with_module_classes(
                model_name_or_path, {SAVED_TYPE: LongTransformer}, **model_kwargs
            )
            return extend(model, **_completed(model, given)) if given else model
        with native_checkpoint(model_name_or_path, model_kwargs) as source:
            model = SentenceTransformer(source, **model_kwargs)
    except LongEmbedError:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        ImportError,
        TypeError,
        SafetensorError,
    ) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
        raise ModelError(f"cannot load model {model_name_or_path!r}: {reason}") from error
    if isinstance(model[0], Transformer):
        checks.refuse_missing_weights(model[0].model, model_name_or_path)
    if published is not None and published.normalize:
        model.append(Normalize())
    return extend(model, **given)


def extend(
    model: SentenceTransformer,
    method: str = AUTO,
    *,
    max_seq_length: int | None = None,
    original_max_seq_length: int | None = None,
    logn_scaling: bool = False,
    on_overflow: OverflowPolicy = "warn",
    token_budget: int = DEFAULT_TOKEN_BUDGET,
    **options: Any,
) -> LongSentenceTransformer:
    """Extend a loaded model; the model itself stays as it is.

    Both share their weights until one of them is moved or cast. Training one in place changes both:
    deep-copy it first.

    Args:
        model: A SentenceTransformer whose first modules are a Transformer and its Pooling, or a
            model that was extended before, whose extension is then replaced.
        method: See `load`.
        max_seq_length: See `load`.
        original_max_seq_length: See `load`.
        logn_scaling: See `load`.
        on_overflow: See `load`.
        token_budget: See `load`.
        **options: The method's own options.

    Returns:
        A new SentenceTransformer.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot take the method.
    """
    transformer, pooling, rest = _take_apart(model)
    family = family_of(transformer.config)
    original = original_max_seq_length
    if original is None:
        original = _original_window(transformer, family)
    name = _choose(family, original, max_seq_length) if method == AUTO else method
    _refuse_tied_table(transformer, name)
    if max_seq_length is None:
        max_seq_length = get_method(name).default_max_seq_length(original)
    extension = ExtensionConfig(
        method=name,
        original_max_seq_length=original,
        max_seq_length=max_seq_length,
        logn_scaling=logn_scaling,
        on_overflow=on_overflow,
        token_budget=token_budget,
        options=options,
    )
    reader = LongTransformer.extending(transformer, pooling, extension)
    extended = LongSentenceTransformer(
        # An OrderedDict is as good as a list here, and keeps the modules' names.
        modules=cast(Any, OrderedDict([("0", reader), *rest.items()])),
        device=str(model.device),
        prompts=cast(dict[str, str], dict(model.prompts)),
        default_prompt_name=model.default_prompt_name,
        similarity_fn_name=model.similarity_fn_name,
        truncate_dim=model.truncate_dim,
    )
    extended.module_kwargs = model.module_kwargs
    return extended


_DEFAULTS = {
    name: parameter.default for name, parameter in inspect.signature(extend).parameters.items()
}


def _completed(model: LongSentenceTransformer, given: dict[str, Any]) -> dict[str, Any]:
    """The settings of a saved extension, changed as given; another method starts anew."""
    saved = model.long_transformer.extension
    if given.get("method", saved.method) != saved.method:
        return given
    settings = saved.model_dump(exclude={"options"})
    return {**settings, **saved.options, **given}


def coverage(
    model: SentenceTransformer,
    texts: Sequence[str],
    *,
    prompt: str | None = None,
    prompt_name: str | None = None,
) -> list[Coverage]:
    """Count how much of each text its vector is computed from, without computing it.

    Args:
        model: An extended model.
        texts: The texts.
        prompt: Put before each text, as in `model.encode`.
        prompt_name: Name of one of the model's prompts, as in `model.encode`.

    Returns:
        One count a text, in order, with the characters that each window reads.

    Raises:
        InputError: If an input is not a valid string.
        ModelError: If the model was not extended.
    """
    reader = long_transformer(model)
    if isinstance(texts, str):
        raise InputError("coverage counts a list of texts; put the single text into a list")
    if prompt is None and prompt_name is not None:
        if prompt_name not in model.prompts:
            known = ", ".join(model.prompts) or "none"
            raise ConfigError(f"unknown prompt {prompt_name!r}; the model has {known}")
        prompt = model.prompts[prompt_name]
    elif prompt is None and model.default_prompt_name is not None:
        prompt = model.prompts[model.default_prompt_name]
    return [reader.coverage_of(text, spans=True) for text in reader.tokenize_texts(texts, prompt)]


def long_transformer(model: SentenceTransformer) -> LongTransformer:
    """The module that reads the texts of an extended model.

    Raises:
        ModelError: If the model was not extended.
    """
    if not isinstance(model[0], LongTransformer):
        raise ModelError("this model was not extended; use longembed_st.extend(model) first")
    return model[0]


def _take_apart(
    model: SentenceTransformer,
) -> tuple[Transformer, Pooling, OrderedDict[str, nn.Module]]:
    """The transformer, its pooling, and copies of the modules after them."""
    children = OrderedDict(model.named_children())
    names = list(children)
    first = children[names[0]]
    if isinstance(first, LongTransformer):
        transformer, pooling, rest = first, first.pooling, names[1:]
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
    copies = OrderedDict((name, copy_sharing_weights(children[name])) for name in rest)
    return transformer, pooling, copies


def _original_window(transformer: Transformer, family: Family) -> int:
    if isinstance(transformer, LongTransformer):
        return transformer.extension.original_max_seq_length
    return checks.original_window(transformer, family)


def _refuse_tied_table(transformer: Transformer, method: str) -> None:
    if isinstance(transformer, LongTransformer):
        present = transformer.method
        if present.tied_to_checkpoint and method != present.name:
            raise ModelError(
                f"this checkpoint's position table can only be read with method {present.name!r}; "
                f"extend the original model to use {method!r}"
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


def _is_saved_extension(model_name_or_path: str, model_kwargs: dict[str, Any]) -> bool:
    """Whether the folder or repository holds a model that was extended and saved."""
    hub = ("token", "cache_folder", "revision", "local_files_only")
    path = load_file_path(
        model_name_or_path,
        "modules.json",
        **{name: model_kwargs[name] for name in hub if name in model_kwargs},
    )
    if path is None:
        return False
    with open(path, encoding="utf8") as file:
        return any(module["type"] == SAVED_TYPE for module in json.load(file))
