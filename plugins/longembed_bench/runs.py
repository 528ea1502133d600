"""What is measured: a model, and the way in which it reads and finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from longembed_bench.index_parts import CANDIDATES
from longembed_st.base.settings import ModelSettings
from longembed_st.command.options import parse_option
from longembed_st.errors import ConfigError

CHUNKS = "chunks"
"""The method of today: the unextended model on fixed chunks, the best chunk counts."""

BM25 = "bm25"
"""The method that needs no model."""

WHITEN = "whiten"
WHITEN_OPTIONS = {"dimensions", "ridge", "token_weights", "only_token_weights", "validation"}
"""What may stand beside `whiten=true`."""

SINGLE = ModelSettings(dtype="float32")
"""What models are measured in unless something else is asked for."""


@dataclass(frozen=True)
class ModelSource:
    """A model and what to call it.

    Attributes:
        name: In tables.
        path: Folder, or name on the Hugging Face hub.
    """

    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read `MODEL` or `NAME=MODEL`; raise `ConfigError` if one side is empty."""
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            return cls(Path(text).resolve().name if Path(text).is_dir() else text, text)
        if not (name and path):
            raise ConfigError(f"model {text!r}: write MODEL or NAME=MODEL")
        return cls(name, path)


@dataclass(frozen=True)
class Variant:
    """What may be added to any method.

    Attributes:
        passages: Whether a document has a vector for each of its passages beside its own, or the
            most tokens of a passage.
        score: Of documents with passages: "average", "best" (passage) or "document".
        hybrid: Whether words count beside vectors, the weight of the vectors from 0 to 1, or
            "ranks" to fuse by reciprocal ranks.
        rerank: Folder or hub name of a model that reads the best documents again.
        candidates: How many documents it reads.
    """

    passages: bool | int = False
    score: str = "average"
    hybrid: bool | float | str = False
    rerank: str | None = None
    candidates: int = CANDIDATES


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


_VALID: dict[str, tuple[Callable[[Any], bool], str]] = {
    "passages": (lambda v: isinstance(v, bool) or _is_count(v), "true, or a number of tokens"),
    "score": (("average", "best", "document").__contains__, "average, best or document"),
    "hybrid": (
        lambda v: v == "ranks" or _is_weight(v),
        "true, ranks, or the weight of the vectors from 0 to 1",
    ),
    "rerank": (lambda v: isinstance(v, str), "a folder or a hub name"),
    "candidates": (_is_count, "a number of documents, at least 1"),
}
"""For each field of `Variant`: whether a value is valid, and what is."""


@dataclass(frozen=True)
class MethodChoice:
    """A way to read and find.

    Attributes:
        label: As typed; in tables.
        name: The extension method, or `CHUNKS` or `BM25`.
        settings: How the model is to be loaded, without the model.
        whitening: Options of `longembed_st.fit_whitening`, if a whitening is to be fitted on the
            corpus that is searched; None if not.
        variant: What is added.
    """

    label: str
    name: str
    settings: ModelSettings
    whitening: Mapping[str, Any] | None = None
    variant: Variant = Variant()

    @classmethod
    def parse(cls, text: str) -> MethodChoice:
        """Read `pcw`, `pcw:window_size=256,overlap=16` or `pcw:whiten=true,hybrid=0.6`.

        `whiten=true` fits a whitening on the corpus, with the options `WHITEN_OPTIONS`;
        `whiten=FILE` takes one that was fitted elsewhere. `Variant` says what else may be added.
        All other options are keyword arguments of `longembed_st.load`.

        Args:
            text: As typed behind `--method`.

        Raises:
            ConfigError: If it is not of this form, or a value is out of range.
        """

        def refuse(reason: str) -> ConfigError:
            return ConfigError(f"--method {text!r}: {reason}")

        name, _, rest = text.partition(":")
        if not name:
            raise refuse("write a method, or method:name=value,name=value")
        options = dict(parse_option(part) for part in rest.split(",") if part)
        for fixed in options.keys() & {"model_name", "method"}:
            raise refuse(f"{fixed} is named outside the settings: leave it out")
        added = {f.name: options.pop(f.name) for f in fields(Variant) if f.name in options}
        for field, value in added.items():
            is_valid, valid = _VALID[field]
            if not is_valid(value):
                raise refuse(f"{field}={value} is not valid: write {valid}")
        if "score" in added and not added.get("passages"):
            raise refuse("score is for documents with passages: add passages=true")
        if name in (CHUNKS, BM25) and (options or added.keys() - {"rerank", "candidates"}):
            raise refuse(f"{name} takes only rerank and candidates: leave the other options out")
        wanted = options.pop(WHITEN, False)
        whitening = None
        if wanted is True:
            whitening = {key: options.pop(key) for key in WHITEN_OPTIONS & options.keys()}
        elif isinstance(wanted, str):
            options["whitening"] = wanted
        elif wanted is not False:
            raise refuse(f"write {WHITEN}=true, or {WHITEN}=FILE")
        method = "none" if name in (CHUNKS, BM25) else name
        settings = ModelSettings.from_keywords(method=method, **options)
        return cls(text, name, settings, whitening, Variant(**added))


@dataclass(frozen=True)
class Run:
    """One line of the tables.

    Attributes:
        model: The model; None for BM25.
        method: How it reads and finds.
    """

    model: ModelSource | None
    method: MethodChoice

    @property
    def label(self) -> str:
        """The model and the method."""
        return label_of(self.model.name if self.model else "", self.method.label)


def label_of(model: str, method: str) -> str:
    """Return the name of a line of the tables; the model is empty for BM25."""
    return f"{model} {method}" if model else f"BM25{method.removeprefix(BM25)}"


def plan(models: list[str], methods: list[str], baselines: bool) -> list[Run]:
    """Return every model with every method, and the baselines that they are compared with.

    Args:
        models: As typed, `MODEL` or `NAME=MODEL`.
        methods: As typed, `pcw:window_size=256`; `chunks` and `bm25` are among them.
        baselines: Whether to add chunks for each model, and BM25.

    Raises:
        ConfigError: If one is malformed, or two models have one name.
    """
    sources = [ModelSource.parse(text) for text in models]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name!r}: tell them apart by NAME=MODEL")
    wanted = dict.fromkeys([*methods, *([CHUNKS, BM25] if baselines else [])])
    parsed = [MethodChoice.parse(text) for text in wanted]
    of_models = [method for method in parsed if method.name != BM25]
    # BM25 reads words: it is one line, whatever the models.
    of_words = [Run(None, method) for method in parsed if method.name == BM25]
    return [Run(source, method) for source in sources for method in of_models] + of_words


def settings_of(
    source: ModelSource, method: MethodChoice, computing: ModelSettings = SINGLE
) -> ModelSettings:
    """Return the settings of a run that change vectors.

    Args:
        source: The model.
        method: How it is to read; chunks are read unextended.
        computing: `dtype` and `backend`, unless the method's settings say otherwise.
    """
    settings = method.settings
    model = ModelSettings(model_name=source.path, method=settings.method)
    return settings.with_defaults(computing.with_defaults(model))


def settings_to_load(settings: ModelSettings, device: str | None) -> ModelSettings:
    """Return settings by which a model cuts texts beyond its window, as the tables then show.

    Args:
        settings: From `settings_of`.
        device: Where to compute; None for the best there is.
    """
    return settings.with_defaults(
        ModelSettings(method=settings.method, on_overflow="truncate", device=device)
    )
