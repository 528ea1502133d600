"""Choose the method that suits a model best on the user's own documents."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import longembed_st as le
from longembed_bench.data import RetrievalData, passages_as_queries
from longembed_bench.folders import files_of, read_corpus, read_folder
from longembed_bench.metrics import EASY, QueryScores, margin, ndcg_by_query
from longembed_bench.retrievers import Cost, WholeDocuments, find
from longembed_bench.runner import VECTORS, Watch
from longembed_bench.runs import (
    BM25,
    CHUNKS,
    FLOAT32,
    WHITEN,
    MethodChoice,
    ModelSource,
    loading_settings,
    run_settings,
)
from longembed_bench.vectors import VectorFile
from longembed_bench.weights import Weights, try_weights
from longembed_st.base.extension import ExtensionConfig
from longembed_st.base.settings import ModelSettings, field_info
from longembed_st.base.settings_file import SettingsFile
from longembed_st.errors import ConfigError, InputError
from longembed_st.loading.load import load_settings
from longembed_st.loading.whitening import Whitening
from longembed_st.positions.method import Context

SMALLEST_WINDOW = 64
WINDOW_HALVINGS = 3
LARGEST_FACTOR = 8
"""The largest scaling factor that candidates are tried with, as in the paper."""


@dataclass(frozen=True)
class Candidate:
    """A method that was measured, and its results.

    Attributes:
        label: The method and its options.
        settings: The settings that change vectors, with "auto" and the defaults resolved.
        scores: nDCG@10 of each query, from 0 to 1.
        cost: Time and memory that reading the documents took.
        whitening: The whitening that was fitted on the documents; None without whitening.
        ranking: By query, the score of each document.
    """

    label: str
    settings: ModelSettings
    scores: NDArray[np.float64]
    cost: Cost
    whitening: Whitening | None
    ranking: QueryScores

    @property
    def score(self) -> float:
        """Mean nDCG@10, from 0 to 1."""
        return float(self.scores.mean())


@dataclass(frozen=True)
class Choice:
    """The outcome of a calibration.

    Attributes:
        candidates: Best first.
        default: The candidate that is kept unless another one is clearly better: the method that
            `auto` takes, or the first one that the user has named.
        margin: How much better the best candidate is than the default, and the ends of the 95%
            interval.
        weights: The scores of a hybrid search with the chosen candidate, at each weight.
    """

    candidates: list[Candidate]
    default: Candidate
    margin: tuple[float, float, float]
    weights: Weights

    @property
    def best(self) -> Candidate:
        """The candidate with the highest score."""
        return self.candidates[0]

    @property
    def is_clear(self) -> bool:
        """Whether the 95% interval of the margin is above zero."""
        return self.margin[1] > 0

    @property
    def is_too_easy(self) -> bool:
        """Whether even the worst candidate finds nearly everything, and none is clearly better."""
        return not self.is_clear and self.candidates[-1].score >= EASY

    @property
    def chosen(self) -> Candidate:
        """The best candidate if it is clearly better than the default; or else the default."""
        return self.best if self.is_clear else self.default


def sample_data(folder: Path, documents: int, queries: int, seed: int) -> RetrievalData:
    """Return a sample of the user's documents, with their questions or with passages as queries.

    Args:
        folder: A folder with corpus, queries and qrels, with a corpus alone, or with documents as
            files.
        documents: The largest number of documents.
        queries: The largest number of queries.
        seed: The seed of the random sample.

    Raises:
        ConfigError: If no question is about the sample.
        InputError: If the folder cannot be read.
    """
    rng = random.Random(f"sample {seed}")
    if has_questions(folder):
        data = read_folder(folder)
        kept = set(_draw(rng, list(data.documents), documents))
        qrels = {
            query: {key: grade for key, grade in grades.items() if key in kept}
            for query, grades in data.qrels.items()
        }
        answered = [query for query, grades in qrels.items() if any(grades.values())]
        if not answered:
            raise ConfigError(
                f"no question is about the {len(kept)} documents of the sample. Raise --documents"
            )
        asked = _draw(rng, answered, queries)
        return RetrievalData(
            {key: text for key, text in data.documents.items() if key in kept},
            {query: data.queries[query] for query in asked},
            {query: qrels[query] for query in asked},
        )
    texts = read_corpus(folder)
    return passages_as_queries(
        {key: texts[key] for key in _draw(rng, list(texts), documents)}, queries, seed
    )


def has_questions(folder: Path) -> bool:
    """Return whether a folder has questions; without them, passages are the queries."""
    return bool(files_of(folder, "queries"))


def candidate_methods(model: le.LongSentenceTransformer, longest: int) -> list[MethodChoice]:
    """Return the methods to compare for documents of up to `longest` tokens.

    Returns:
        The unextended model, pcw with several window sizes, and every other method that the model
        takes. The window of the others fits the longest document, but is at most eight times the
        original one. All except the unextended model are also tried with whitening.

    Raises:
        ConfigError: If no document is longer than the original window.
    """
    reader = model.long_transformer
    original = reader.extension.context.original
    if longest <= original:
        raise ConfigError(
            f"no document of the sample is longer than the model's window of {original} tokens, so "
            "all methods give the same vectors. Use method='none'"
        )
    sizes = [original // 2**halving for halving in range(WINDOW_HALVINGS)]
    choices = [MethodChoice.parse("none")]
    choices += [MethodChoice.parse(f"pcw:window_size={n}") for n in sizes if n >= SMALLEST_WINDOW]
    extended = original * min(-(-longest // original), LARGEST_FACTOR)
    for name, method in le.methods().items():
        reads_in_one_pass = method.default_max_seq_length(original) == 8 * original
        context = Context(original, extended)
        if (
            reads_in_one_pass
            and reader.family.takes(method)
            and not method.tied_to_checkpoint
            and method.is_affordable(context)
        ):
            choices.append(MethodChoice.parse(f"{name}:max_seq_length={extended}"))
    whitened = [MethodChoice.parse(f"{choice.label},{WHITEN}=true") for choice in choices[1:]]
    # Whitened methods come first: fitting stores the vectors that the other methods need.
    return [*whitened, *choices]


def calibrate(
    source: ModelSource,
    data: RetrievalData,
    watch: Watch,
    methods: Sequence[MethodChoice] | None = None,
    *,
    device: str | None = None,
    computing: ModelSettings = FLOAT32,
    seed: int = 0,
) -> Choice:
    """Measure each method on the documents, or all that suit the model, and compare the best two.

    `computing` gives the `dtype` and the `backend` of the model.

    Raises:
        ConfigError: If there is nothing to compare, or a method cannot be calibrated.
    """

    def load(method: MethodChoice) -> le.LongSentenceTransformer:
        return load_settings(loading_settings(run_settings(source, method, computing), device))

    for method in methods or ():
        if method.name in (BM25, CHUNKS) or method.hybrid is not None:
            raise ConfigError(
                f"--method {method.label!r} cannot be calibrated, as it changes more than how the "
                "model reads. Compare it with `longembed bench`"
            )
    is_chosen_by_user = methods is not None
    default = None if methods is None else methods[0].label
    if methods is None:
        unchanged = load(MethodChoice.parse("none"))
        longest = max(read.tokens for read in le.coverage(unchanged, list(data.documents.values())))
        methods = candidate_methods(unchanged, longest)
        auto = load(MethodChoice.parse("auto")).long_transformer.extension.method
        # Of several window sizes, the first one is the original window.
        default = next((m.label for m in methods if m.name == auto and m.whitening is None), None)
    if len(methods) < 2:
        raise ConfigError(
            f"a comparison needs two methods, not {len(methods)}. Name two or more with "
            "--method, or none to compare all"
        )
    candidates = []
    with (
        tempfile.TemporaryDirectory(prefix="longembed-") as folder,
        closing(VectorFile(Path(folder, VECTORS))) as vectors,
    ):
        for method in methods:
            model = load(method)
            retriever = WholeDocuments(model, vectors, method.whitening)
            try:
                with watch(method.label, len(data.documents)) as retriever.on_text:
                    ranking = find(retriever, data, k=len(data.documents))
            except InputError:
                # Too few documents to fit a whitening: skip the method unless the user named it.
                if method.whitening is None or is_chosen_by_user:
                    raise
                continue
            scores = ndcg_by_query(data.qrels, ranking, 10)
            candidates.append(
                Candidate(
                    label=method.label,
                    settings=_resolved(run_settings(source, method, computing), model),
                    scores=np.array([scores[query] for query in data.queries]),
                    cost=retriever.cost(),
                    whitening=retriever.whitening,
                    ranking=ranking,
                )
            )
    candidates.sort(key=lambda candidate: -candidate.score)
    best = candidates[0]
    kept = next((c for c in candidates if c.label == default), best)
    margin_over_default = margin(best.scores, kept.scores, seed)
    chosen = best if margin_over_default[1] > 0 else kept
    return Choice(candidates, kept, margin_over_default, try_weights(data, chosen.ranking, seed))


def write_settings(choice: Choice, path: Path, *, questions: bool) -> None:
    """Write the settings of the chosen method and of the search, for `--settings`.

    A whitening is written to a second file in the same folder.

    Args:
        choice: The outcome of a calibration.
        path: The file to write. `load(**json.loads(path.read_text())["model"])` loads the model.
        questions: Whether the queries are questions. If they are passages, or no weight is clearly
            better than the default, no settings of the search are written: passages share too many
            words with their documents.
    """
    settings = choice.chosen.settings
    if choice.chosen.whitening is not None:
        whitening_path = path.resolve().with_suffix(".whitening.safetensors")
        choice.chosen.whitening.write(whitening_path)
        settings = settings.model_copy(update={"whitening": str(whitening_path)})
    is_known = questions and choice.weights.is_clear
    ranking = choice.weights.ranking.model_dump() if is_known else {}
    SettingsFile(settings, ranking).write(path)


def _resolved(settings: ModelSettings, model: le.LongSentenceTransformer) -> ModelSettings:
    """Return the settings of a model with "auto" and the defaults resolved."""
    extension = model.long_transformer.extension
    resolved = {
        name: getattr(extension, name)
        for name in ExtensionConfig.model_fields
        if field_info(name)["affects_vectors"]
    }
    return settings.model_copy(update=resolved)


def _draw(rng: random.Random, items: list[str], count: int) -> list[str]:
    """Return at most `count` randomly chosen items, in their original order."""
    chosen = sorted(range(len(items)), key=lambda _: rng.random())[:count]
    return [items[place] for place in sorted(chosen)]
