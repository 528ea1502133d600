"""The models and methods to measure, as typed on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longembed_index.search.ranking import WEIGHT
from longembed_st.base.settings import ModelSettings
from longembed_st.command.options import parse_option
from longembed_st.errors import ConfigError
from longembed_st.loading.local_models import display_name

CHUNKS = "chunks"
"""A baseline: the unextended model on chunks of its window. The best chunk of a document counts."""

BM25 = "bm25"
"""A baseline without a model."""

HYBRID = "hybrid"
WHITEN = "whiten"
WHITEN_OPTIONS = {"dimensions", "ridge", "token_weights", "only_token_weights", "validation"}
"""Options that may be given together with `whiten=true`."""

FLOAT32 = ModelSettings(dtype="float32")


@dataclass(frozen=True)
class ModelSource:
    """A model, by its folder or its name on the Hugging Face hub, and its name in tables."""

    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read `MODEL` or `NAME=MODEL`; raise `ConfigError` if one side is empty."""
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            return cls(display_name(text), text)
        if not (name and path):
            raise ConfigError(f"model {text!r}: write MODEL or NAME=MODEL")
        return cls(name, path)


@dataclass(frozen=True)
class MethodChoice:
    """A method with its options.

    Attributes:
        label: What the user typed; also shown in tables.
        name: The extension method, or `CHUNKS` or `BM25`.
        settings: The settings of the model, without its name.
        whitening: Options of `longembed_st.fit_whitening`, if a whitening is fitted on the corpus
            that is searched; None if not.
        hybrid: The weight of the vectors beside words, from 0 to 1; None without words.
    """

    label: str
    name: str
    settings: ModelSettings
    whitening: Mapping[str, Any] | None = None
    hybrid: float | None = None

    @classmethod
    def parse(cls, text: str) -> MethodChoice:
        """Read `pcw`, `pcw:window_size=256,overlap=16` or `pcw:whiten=true,hybrid=0.6`.

        `whiten=true` fits a whitening on the corpus, with the options `WHITEN_OPTIONS`;
        `whiten=FILE` uses one that was fitted before. `hybrid` is true or a weight. All other
        options are keyword arguments of `longembed_st.load`.

        Raises:
            ConfigError: If it is malformed, or a value is out of range.
        """

        def refuse(reason: str) -> ConfigError:
            return ConfigError(f"--method {text!r}: {reason}")

        name, _, rest = text.partition(":")
        if not name:
            raise refuse("write a method, or method:name=value,name=value")
        options = dict(parse_option(part) for part in rest.split(",") if part)
        if name in (CHUNKS, BM25) and options:
            raise refuse(f"{name} takes no options: leave them out")
        for fixed in options.keys() & {"model_name", "method"}:
            raise refuse(f"{fixed} is named outside the settings: leave it out")
        hybrid = options.pop(HYBRID, False)
        if not (isinstance(hybrid, int | float) and 0 <= hybrid <= 1):
            raise refuse(f"hybrid={hybrid}: write true, or the weight of the vectors from 0 to 1")
        whiten = options.pop(WHITEN, False)
        whitening = None
        if whiten is True:
            whitening = {key: options.pop(key) for key in WHITEN_OPTIONS & options.keys()}
        elif isinstance(whiten, str):
            options["whitening"] = whiten
        elif whiten is not False:
            raise refuse(f"write {WHITEN}=true, or {WHITEN}=FILE")
        method = "none" if name in (CHUNKS, BM25) else name
        settings = ModelSettings.from_keywords(method=method, **options)
        weight = WEIGHT if hybrid is True else None if hybrid is False else float(hybrid)
        return cls(text, name, settings, whitening, weight)


@dataclass(frozen=True)
class Run:
    """A row of the tables: a model, which is None for BM25, with a method."""

    model: ModelSource | None
    method: MethodChoice

    @property
    def label(self) -> str:
        """The model and the method."""
        return label_of(self.model.name if self.model else "", self.method.label)


def label_of(model: str, method: str) -> str:
    """Return the label of a row of the tables; the model is empty for BM25."""
    return f"{model} {method}" if model else "BM25"


def plan(models: list[str], methods: list[str], baselines: bool) -> list[Run]:
    """Return a run for every model with every method, and the baselines.

    Raises:
        ConfigError: If one is malformed, or two models have the same name.
    """
    sources = [ModelSource.parse(text) for text in models]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name!r}: tell them apart by NAME=MODEL")
    labels = dict.fromkeys([*methods, *([CHUNKS, BM25] if baselines else [])])
    choices = [MethodChoice.parse(text) for text in labels]
    of_models = [choice for choice in choices if choice.name != BM25]
    without_model = [Run(None, choice) for choice in choices if choice.name == BM25]
    return [Run(source, choice) for source in sources for choice in of_models] + without_model


def run_settings(
    source: ModelSource, method: MethodChoice, computing: ModelSettings = FLOAT32
) -> ModelSettings:
    """Return the settings of a run that change vectors.

    What the method states goes before `computing`.
    """
    model = ModelSettings(model_name=source.path, method=method.settings.method)
    return method.settings.with_defaults(computing.with_defaults(model))


def loading_settings(settings: ModelSettings, device: str | None) -> ModelSettings:
    """Return settings to load a model that cuts texts beyond its window; the tables show it."""
    return settings.with_defaults(
        ModelSettings(method=settings.method, on_overflow="truncate", device=device)
    )
