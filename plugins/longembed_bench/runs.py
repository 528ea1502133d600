"""What is measured: a model and the way that it reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.modes import CANDIDATES, WEIGHT
from longembed_st.base.settings import ModelSettings
from longembed_st.command.options import parse_option
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_st.base.long_model import LongModel
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

CHUNKS = "chunks"
"""The method that is none of ours: the unextended model on fixed chunks, the best chunk counts."""

SPANS, SCORE = "spans", "score"
SCORES = ("average", "best", "document")
"""What the score of a document with spans may be."""

WHITEN = "whiten"
WHITENING = {"dimensions", "ridge", "token_weights", "only_token_weights", "validation"}
"""What may stand beside `whiten=true`."""

HYBRID = "hybrid"
RANKS = "ranks"
"""The fusion to compare with: by reciprocal ranks."""

RERANK = "rerank"
PRECISIONS = ("float32", "int8", "binary")
"""Of token vectors."""

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
class SpanChoice:
    """That a document has spans, and what its score is.

    Attributes:
        tokens: The most of a span; None for the windows of the method.
        score: One of `SCORES`.
    """

    tokens: int | None
    score: str


@dataclass(frozen=True)
class HybridChoice:
    """That words count beside vectors.

    Attributes:
        weight: Of the vectors, from 0 to 1; None for reciprocal ranks.
    """

    weight: float | None


@dataclass(frozen=True)
class RerankChoice:
    """That the best documents are read again together with the query.

    Attributes:
        model: Folder or hub name of a cross-encoder or a late-interaction model.
        candidates: How many are.
    """

    model: str
    candidates: int


@dataclass(frozen=True)
class TokenChoice:
    """What is kept of the token vectors of a late-interaction model.

    Attributes:
        pool: Vectors of a window that are averaged to one, by sentence-transformers' hierarchical
            token pooling; 1 for none.
        precision: One of `PRECISIONS`.
    """

    pool: int = 1
    precision: str = "float32"


@dataclass(frozen=True)
class MethodChoice:
    """A way to read: an extension method with its settings, chunks, or BM25.

    Attributes:
        label: As typed; in tables and file names.
        name: The method, or `CHUNKS` or `BM25`.
        settings: How the model is to be loaded, without the model.
        whitening: Options of `longembed_st.fit_whitening`, if a whitening is to be fitted on the
            corpus that is searched; None if not.
        spans: Which spans are kept beside the documents' vectors; None for none.
        hybrid: How words count; None if they do not.
        rerank: What orders the best documents anew; None for nothing.
        tokens: Of a late-interaction model.
    """

    label: str
    name: str
    settings: ModelSettings
    whitening: Mapping[str, Any] | None = None
    spans: SpanChoice | None = None
    hybrid: HybridChoice | None = None
    rerank: RerankChoice | None = None
    tokens: TokenChoice = TokenChoice()

    @classmethod
    def parse(cls, text: str) -> MethodChoice:
        """Read `pcw` or `pcw:window_size=256,overlap=16` or `pcw:whiten=true`.

        `whiten=true` fits a whitening on the corpus, with the options dimensions, ridge and
        token_weights; `whiten=FOLDER` takes one that was fitted elsewhere. `spans=true` keeps the
        windows of the method as spans, `spans=128` spans of so many tokens at most; `score` says
        what a document's score is: average, best or document. `hybrid=true` adds words, with the
        weight of `longembed search`; `hybrid=0.6` with that weight of the vectors; `hybrid=ranks`
        fuses by reciprocal ranks. `rerank=MODEL` reads the best documents again, so many as
        `candidates` says; `bm25:rerank=MODEL` those that BM25 finds. Of late-interaction models,
        `pool=2` averages pairs of token vectors, `precision=int8` or `binary` keeps less of each.

        Args:
            text: As typed behind `--method`.

        Raises:
            ConfigError: If it is not of this form, or a setting is out of range.
        """
        name, _, rest = text.partition(":")
        if not name:
            raise ConfigError(f"--method {text!r}: write a method, or method:name=value,name=value")
        given = dict(parse_option(part) for part in rest.split(",") if part)
        rerank = _rerank_choice(text, given)
        tokens = _token_choice(text, given)
        if name in (CHUNKS, BM25) and given:
            way = "chunks are as long as the original window" if name == CHUNKS else "it has none"
            raise ConfigError(f"--method {text!r}: leave the settings out, {way}")
        for twice in given.keys() & {"model_name", "method"}:
            raise ConfigError(f"--method {text!r}: {twice} is named outside the settings: drop it")
        whitening = None
        wanted = given.pop(WHITEN, False)
        if wanted is True:
            whitening = {option: given.pop(option) for option in WHITENING & given.keys()}
        elif isinstance(wanted, str):
            given["whitening"] = wanted
        elif wanted is not False:
            raise ConfigError(f"--method {text!r}: write {WHITEN}=true, or {WHITEN}=FOLDER")
        spans = _span_choice(text, given)
        hybrid = _hybrid_choice(text, given)
        method = "none" if name in (CHUNKS, BM25) else name
        settings = ModelSettings.from_keywords(method=method, **given)
        return cls(text, name, settings, whitening, spans, hybrid, rerank, tokens)


def _span_choice(text: str, given: dict[str, Any]) -> SpanChoice | None:
    """Take what is about spans out of a method's settings."""
    wanted, score = given.pop(SPANS, False), given.pop(SCORE, None)
    if wanted is False:
        if score is not None:
            raise ConfigError(f"--method {text!r}: {SCORE} is of documents with {SPANS}=true")
        return None
    tokens = None if wanted is True else wanted
    if not (tokens is None or isinstance(tokens, int)):
        raise ConfigError(
            f"--method {text!r}: write {SPANS}=true, or {SPANS}=128 for so many tokens"
        )
    score = score or SCORES[0]
    if score not in SCORES:
        raise ConfigError(f"--method {text!r}: {SCORE} is one of {', '.join(SCORES)}")
    return SpanChoice(tokens, score)


def _hybrid_choice(text: str, given: dict[str, Any]) -> HybridChoice | None:
    """Take what is about words out of a method's settings."""
    wanted = given.pop(HYBRID, False)
    if wanted is False:
        return None
    if wanted is True:
        return HybridChoice(WEIGHT)
    if wanted == RANKS:
        return HybridChoice(None)
    if not isinstance(wanted, int | float) or not 0 <= wanted <= 1:
        raise ConfigError(
            f"--method {text!r}: write {HYBRID}=true, {HYBRID}={RANKS}, or the weight of the "
            "vectors, from 0 to 1"
        )
    return HybridChoice(float(wanted))


def _rerank_choice(text: str, given: dict[str, Any]) -> RerankChoice | None:
    """Take what is about reranking out of a method's settings."""
    model, candidates = given.pop(RERANK, None), given.pop("candidates", CANDIDATES)
    if model is None:
        return None
    if not isinstance(candidates, int) or candidates < 1:
        raise ConfigError(f"--method {text!r}: candidates is a number of documents, at least 1")
    return RerankChoice(str(model), candidates)


def _token_choice(text: str, given: dict[str, Any]) -> TokenChoice:
    """Take what is about token vectors out of a method's settings."""
    pool, precision = given.pop("pool", 1), given.pop("precision", PRECISIONS[0])
    if not isinstance(pool, int) or pool < 1:
        raise ConfigError(f"--method {text!r}: pool is a number of vectors, at least 1")
    if precision not in PRECISIONS:
        raise ConfigError(f"--method {text!r}: precision is one of {', '.join(PRECISIONS)}")
    return TokenChoice(pool, precision)


@dataclass(frozen=True)
class Run:
    """One line of the tables.

    Attributes:
        model: The model; None for BM25.
        method: How it reads.
    """

    model: ModelSource | None
    method: MethodChoice

    @property
    def label(self) -> str:
        """The model and the method."""
        return label_of(self.model.name if self.model else "", self.method.label)

    @property
    def full_name(self) -> str:
        """A name of the form that mteb wants, fit for folders."""
        return f"longembed/{re.sub(r'[^A-Za-z0-9.=-]+', '-', self.label)}"


def label_of(model: str, method: str) -> str:
    """What a line of the tables is called.

    Args:
        model: Name of the model; empty for BM25.
        method: As typed.
    """
    return f"{model} {method}" if model else f"BM25{method.removeprefix(BM25)}"


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
    parsed = [MethodChoice.parse(text) for text in wanted]
    of_models = [method for method in parsed if method.name != BM25]
    # BM25 reads words: it is one line, whatever the models.
    of_words = [Run(None, method) for method in parsed if method.name == BM25]
    return [Run(source, method) for source in sources for method in of_models] + of_words


SINGLE = ModelSettings(dtype="float32")
"""What models are measured in, unless something else is asked for."""


def settings_of(
    source: ModelSource, method: MethodChoice, computing: ModelSettings = SINGLE
) -> ModelSettings:
    """The settings of one run, as far as they change vectors.

    Args:
        source: The model.
        method: How it is to read; chunks are read unextended.
        computing: `dtype` and `backend`, unless the method's settings say otherwise.
    """
    given = method.settings
    return given.with_defaults(
        computing.with_defaults(ModelSettings(model_name=source.path, method=given.method))
    )


def load_model(
    source: ModelSource,
    method: MethodChoice,
    device: str | None = None,
    computing: ModelSettings = SINGLE,
) -> LongSentenceTransformer:
    """Load a SentenceTransformer for one run.

    Texts beyond its window are cut, which the tables then show.

    Args:
        source: The model.
        method: How it is to read; chunks are read unextended.
        device: Where to compute; None for the best there is.
        computing: As `settings_of`.

    Raises:
        ConfigError: If a setting is unknown or out of range.
        ModelError: If the model cannot be loaded, cannot take the method, or is of another class.
    """
    from longembed_st.loading.load import load_settings

    return load_settings(_cutting(settings_of(source, method, computing), device))


def load_model_of_any_class(
    source: ModelSource,
    method: MethodChoice,
    device: str | None = None,
    computing: ModelSettings = SINGLE,
) -> LongModel:
    """As `load_model`, of whatever class the checkpoint is for.

    Args:
        source: The model.
        method: How it is to read.
        device: Where to compute.
        computing: As `settings_of`.
    """
    from longembed_st.loading.load import load_any

    return load_any(_cutting(settings_of(source, method, computing), device))


def _cutting(settings: ModelSettings, device: str | None) -> ModelSettings:
    way = ModelSettings(method=settings.method, on_overflow="truncate", device=device)
    return settings.with_defaults(way)
