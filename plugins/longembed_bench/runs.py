"""What is measured: a model and the way that it reads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_st.errors import ConfigError
from longembed_st.options import parse_option

if TYPE_CHECKING:
    from longembed_st.model import LongSentenceTransformer

CHUNKS = "chunks"
"""The method that is none of ours: the unextended model on fixed chunks, the best chunk counts."""

BM25 = "bm25"
"""The method that needs no model."""


@dataclass(frozen=True)
class ModelSource:
    """A model and what to call it.

    Attributes:
        name: In tables and file names.
        path: Folder, or name on the Hugging Face hub.
    """

    name: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read `MODEL` or `NAME=MODEL`.

        Args:
            text: As typed.

        Raises:
            ConfigError: If one side is empty.
        """
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            return cls(Path(text).resolve().name if Path(text).is_dir() else text, text)
        if not (name and path):
            raise ConfigError(f"model {text!r}: write MODEL or NAME=MODEL")
        return cls(name, path)


@dataclass(frozen=True)
class Method:
    """An extension method and its settings.

    Attributes:
        label: As typed; in tables and file names.
        name: The method.
        settings: Keyword arguments of `longembed_st.load`.
    """

    label: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read `pcw` or `pcw:window_size=256,overlap=16`.

        Args:
            text: As typed behind `--method`.

        Raises:
            ConfigError: If it is not of this form.
        """
        name, _, rest = text.partition(":")
        if not name:
            raise ConfigError(f"--method {text!r}: write a method, or method:name=value,name=value")
        settings = dict(parse_option(part) for part in rest.split(",") if part)
        if name == CHUNKS and settings:
            raise ConfigError(f"--method {text!r}: chunks are as long as the original window")
        return cls(text, name, settings)


@dataclass(frozen=True)
class Run:
    """One line of the tables.

    Attributes:
        model: The model; None for BM25.
        method: How it reads.
    """

    model: ModelSource | None
    method: Method

    @property
    def label(self) -> str:
        """The model and the method."""
        return f"{self.model.name} {self.method.label}" if self.model else "BM25"

    @property
    def full_name(self) -> str:
        """A name of the form that mteb wants, fit for folders."""
        return f"longembed/{re.sub(r'[^A-Za-z0-9.=-]+', '-', self.label)}"


def plan(models: list[str], methods: list[str], baselines: bool) -> list[Run]:
    """Every model with every method, and the lines that they must be seen beside.

    Args:
        models: As typed, `MODEL` or `NAME=MODEL`.
        methods: As typed, `pcw:window_size=256`; `chunks` and `bm25` are among them.
        baselines: Whether to add chunks for each model, and BM25.

    Raises:
        ConfigError: If one is malformed, or two have one name.
    """
    sources = [ModelSource.parse(text) for text in models]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two models are called {name!r}: tell them apart by NAME=MODEL")
    wanted = dict.fromkeys([*methods, *([CHUNKS, BM25] if baselines else [])])
    of_models = [Method.parse(text) for text in wanted if text != BM25]
    runs = [Run(source, method) for source in sources for method in of_models]
    # BM25 reads words: it is one line, whatever the models.
    return [*runs, Run(None, Method(BM25, BM25))] if BM25 in wanted else runs


def load_model(
    source: ModelSource, method: Method, device: str | None = None, dtype: str = "float32"
) -> LongSentenceTransformer:
    """Load a model for one run; texts beyond its window are cut, which the tables then show.

    Args:
        source: The model.
        method: How it is to read; chunks are read unextended.
        device: Where to compute; None for the best there is.
        dtype: Of the weights.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot be loaded, or cannot take the method.
    """
    import longembed_st as le

    return le.load(
        source.path,
        "none" if method.name == CHUNKS else method.name,
        **{
            "on_overflow": "truncate",
            "model_kwargs": {"dtype": dtype},
            **({"device": device} if device else {}),
            **method.settings,
        },
    )
