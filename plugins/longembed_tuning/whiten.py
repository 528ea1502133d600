"""Whitening of a model: fitted on documents without labels, judged on some of them, built in.

The entry point is `whiten`, and on the command line `longembed whiten`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from longembed_st.base.texts import has_text
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.files import atomic_folder
from longembed_st.loading.whitening import (
    FILE,
    Whitening,
    WhiteningMap,
    is_whitened,
    unit,
    with_whitening,
)
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.token_weights import refuse_unless_mean
from longembed_st.sentence_transformer.transformer import long_transformer
from longembed_tuning.duplicates import near_duplicates, sketch
from longembed_tuning.frequencies import DocumentFrequencies
from longembed_tuning.judging import FOLDS, Judgement, Trial, compare, drawn, ndcg
from longembed_tuning.samples import Windows, read_windows
from longembed_tuning.whitening import LEAST_DOCUMENTS, RIDGE, Scatter, fit

TokenWeighting = Literal["auto", "idf", "none"]

MOST_JUDGED = 200
"""Documents that passages are looked up in."""

PASSAGES = 3
"""Of each of them."""

PASSAGE_WORDS = 100
"""A paragraph. Of 30 words of talk, hardly any tell of what it is about (docs/WHITENING.md)."""

OnDocument = Callable[[str, Sequence[Windows]], None]
"""Called with each document that was read, and what each variant of the model makes of it."""


@dataclass(frozen=True)
class Fit:
    """A whitening and what is known of it.

    Attributes:
        whitening: To be built into the model.
        variant: Of what `on_document` was told, which one the whitening is for.
        judgement: On documents held out of the fit; None if it was not asked for.
        weighting: Likewise, of weighted tokens against equal ones; None if not both were tried.
        documents: Fitted on.
        windows: Of these documents.
        differences: Windows less documents: how many directions they can tell of.
        partly_read: Of the documents, how many are longer than the model's window.
        repeated: Documents left out as near-duplicates of others.
    """

    whitening: Whitening
    variant: int
    judgement: Judgement | None
    weighting: Judgement | None
    documents: int
    windows: int
    differences: int
    partly_read: int
    repeated: int

    @property
    def gains(self) -> bool:
        """Whether it is not known to gain nothing."""
        return self.judgement is None or self.judgement.gains

    def summary(self) -> list[str]:
        """What it was fitted on and how it was judged, in sentences for people."""
        lines = [f"Fitted on {self.windows:,} windows of {self.documents:,} documents."]
        width = 0 if self.whitening.map is None else self.whitening.map.matrix.shape[1]
        if self.differences < width:
            lines.append(
                f"That is fewer differences between windows ({self.differences:,}) than numbers in "
                f"a vector ({width:,}): in the other directions the ridge stands for what was not "
                "seen."
            )
        if self.partly_read:
            lines.append(
                f"Not read to their end, being longer than the window: {self.partly_read:,} "
                "documents."
            )
        if self.repeated:
            lines.append(f"Left out as near-duplicates of others: {self.repeated:,} documents.")
        if self.weighting is not None:
            lines.append(f"{told(self.weighting, 'Weighing tokens besides')}.")
        if self.judgement is not None:
            lines.append(f"{told(self.judgement)}.")
        return lines


def whiten(
    model: LongSentenceTransformer,
    documents: Sequence[str],
    *,
    dimensions: int | None = None,
    ridge: float = RIDGE,
    token_weights: TokenWeighting = "auto",
    only_token_weights: bool = False,
    validation: bool = True,
) -> LongSentenceTransformer:
    """A model whose vectors tell documents apart better: whitened within documents.

    One vector a document then ranks far better on most corpora whose documents each have a subject
    (docs/WHITENING.md, with the cases in which it hurts). Queries and documents go through one map.

    Args:
        model: An extended model; stays as it is.
        documents: Texts of the corpus that will be searched, or of one like it; no labels. At least
            20 of them longer than the original window.
        dimensions: How many numbers of a vector to keep; None for all.
        ridge: Strength of the regularisation.
        token_weights: "idf" weighs the tokens in the mean of a window by their inverse document
            frequency; "auto" does where it gains on documents held out; "none" does not.
        only_token_weights: Weigh the tokens, and leave the vectors unmapped.
        validation: Whether to judge the whitening on documents held out, and refuse it if it gains
            nothing. Without, "auto" weighs no token.

    Returns:
        The model with stock modules behind it: `Normalize`, `Dense`, `Normalize`.

    Raises:
        ConfigError: If a setting is out of range, or contradicts another.
        InputError: If the documents are too few, or all alike.
        ModelError: If the whitening gains nothing on documents held out, or the model's tokens
            cannot be weighted.
    """
    made = fit_whitening(
        model,
        documents,
        dimensions=dimensions,
        ridge=ridge,
        token_weights=token_weights,
        only_token_weights=only_token_weights,
        validation=validation,
    )
    if made.judgement is not None and not made.gains:
        raise ModelError(f"{told(made.judgement)}. Leave the model as it is, or validation=False")
    return with_whitening(model, made.whitening)


def fit_whitening(
    model: LongSentenceTransformer,
    documents: Sequence[str],
    *,
    dimensions: int | None = None,
    ridge: float = RIDGE,
    token_weights: TokenWeighting = "auto",
    only_token_weights: bool = False,
    validation: bool = True,
    seed: int = 0,
    on_document: OnDocument = lambda text, windows: None,
) -> Fit:
    """Read documents, fit a whitening on all of them, and judge it by cross-validation.

    Args:
        model: An extended model.
        documents: The texts. Each is asked for twice, and none is kept.
        dimensions: As for `whiten`, like all that follow but two.
        ridge: Likewise.
        token_weights: Likewise.
        only_token_weights: Likewise.
        validation: Whether to judge.
        seed: Of the documents held out and of the passages.
        on_document: Told of each document that was read.

    Raises:
        ConfigError: If a setting is out of range, or contradicts another, or the model is whitened
            already or cuts its vectors.
        InputError: If the documents are too few, or all alike.
        ModelError: If the model's tokens cannot be weighted.
    """
    weighting = _weighting(model, token_weights, only_token_weights, validation)
    survey = _Survey.of(model, documents, count_tokens=weighting != "none")
    judged = drawn(len(survey.kept), MOST_JUDGED, seed) if validation else []
    number_of = {place: number for number, place in enumerate(judged)}
    variants = [_Variant(model)]
    if survey.frequencies is not None:
        weights = survey.frequencies.idf()
        weighted = with_whitening(model, Whitening(None, weights))
        variants.append(_Variant(weighted, weights))
    count = partly_read = 0
    for place, number in enumerate(survey.kept):
        text = documents[number]
        read = read_windows([variant.model for variant in variants], text)
        for variant, windows in zip(variants, read, strict=True):
            variant.add(windows, number_of.get(place))
        count += len(read[0].vectors)
        partly_read += read[0].coverage.read < read[0].coverage.tokens
        on_document(text, read)

    def fitted(scatter: Scatter, least: int = LEAST_DOCUMENTS) -> WhiteningMap | None:
        if only_token_weights:
            return None
        return fit(scatter, ridge=ridge, dimensions=dimensions, least=least)

    maps = [fitted(variant.scatter()) for variant in variants]
    chosen = 0 if weighting == "none" else 1
    judgement = of_weights = None
    if validation:
        # Too few is said of all documents: a fold has no say in it.
        of_folds = [
            [fitted(variant.scatter(without=fold), least=1) or unit for fold in range(FOLDS)]
            for variant in variants
        ]
        trials = [variant.trial(seed) for variant in variants]
        before = ndcg(trials[0], [unit] * FOLDS)
        after = [ndcg(trial, of_fold) for trial, of_fold in zip(trials, of_folds, strict=True)]
        if len(variants) > 1 and not only_token_weights:
            of_weights = compare(after[0], after[1], trials[0], seed)
            if weighting == "auto":
                chosen = int(of_weights.gains)
        judgement = compare(before, after[chosen], trials[0], seed)
    best = variants[chosen]
    map_ = maps[chosen]
    notes = {
        "documents": f"{len(survey.kept):,} ({survey.repeated:,} near-duplicates left out)",
        "windows": f"{count:,}",
        "documents not read to their end": f"{partly_read:,}",
        "corpus": survey.hash(),
        "weights of tokens": "none" if best.token_weights is None else "inverse document frequency",
    }
    if map_ is not None:
        kept, width = map_.matrix.shape
        notes |= {"ridge": str(ridge), "dimensions": f"{kept} of {width}"}
    return Fit(
        whitening=Whitening(map_, best.token_weights, notes),
        variant=chosen,
        judgement=judgement,
        weighting=of_weights,
        documents=len(survey.kept),
        windows=count,
        differences=best.scatter().differences,
        partly_read=partly_read,
        repeated=survey.repeated,
    )


def save(model: LongSentenceTransformer, made: Fit, folder: Path) -> None:
    """Write a whitened model with a card that says what it was fitted on, whole or not at all.

    The whitening lies beside it as a file of its own, for `load(..., whitening=FOLDER)`.

    Args:
        model: From `longembed_st.loading.whitening.with_whitening`.
        made: The fit.
        folder: New, or empty.
    """
    with atomic_folder(folder) as unfinished:
        model.save_pretrained(str(unfinished))
        made.whitening.write(Path(unfinished, FILE))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as file:
            file.write(card(made))


def told(judgement: Judgement, what: str = "Whitening") -> str:
    """A judgement in one sentence.

    Args:
        judgement: Of a whitening.
        what: What was judged.
    """
    verdict = "helps" if judgement.gains else "gains nothing"
    return (
        f"{what} {verdict}: {judgement.queries} passages, each to find its document among "
        f"{judgement.documents} by a fit without it, nDCG@10 {judgement.before:.1f} before, "
        f"{judgement.after:.1f} after (95% interval of the difference {judgement.low:+.1f} to "
        f"{judgement.high:+.1f})"
    )


def card(made: Fit) -> str:
    """What a model card says of a whitening.

    Args:
        made: The fit.
    """
    table = "\n".join(f"| {name} | {value} |" for name, value in made.whitening.notes.items())
    judged = f"\n\n{told(made.judgement)}." if made.judgement else ""
    method = (
        "The last modules are a linear map, fitted without labels: within-class covariance "
        "normalisation (Hatch, Kajarekar and Stolcke 2006) with the document as the class."
        if made.whitening.map
        else "The tokens are weighted in the mean of a window; no label was used."
    )
    return (
        f"\n\n## Whitening within documents\n\n{method} Vectors cannot be compared with those of "
        f"the unwhitened model.\n\n| fitted on | |\n|---|---|\n{table}{judged}\n"
    )


@dataclass(frozen=True)
class _Survey:
    """What one look at the documents tells, before any is read."""

    kept: list[int]
    repeated: int
    digests: list[bytes]
    frequencies: DocumentFrequencies | None

    @classmethod
    def of(
        cls, model: LongSentenceTransformer, documents: Sequence[str], *, count_tokens: bool
    ) -> _Survey:
        frequencies = DocumentFrequencies(long_transformer(model)) if count_tokens else None
        numbers, sketches, digests = [], [], []
        for number, text in enumerate(documents):
            if has_text(text):
                numbers.append(number)
                sketches.append(sketch(text))
                digests.append(_digest(text))
                if frequencies is not None:
                    frequencies.add(text)
        repeated = set(near_duplicates(sketches))
        places = [place for place in range(len(numbers)) if place not in repeated]
        if not places:
            raise InputError("there is no document with a text to fit the whitening on")
        kept, hashes = [numbers[p] for p in places], [digests[p] for p in places]
        return cls(kept, len(repeated), hashes, frequencies)

    def hash(self) -> str:
        return _hash_of(self.digests)


@dataclass
class _Variant:
    """A model with equal or with other weights of tokens, and what it makes of the documents."""

    model: LongSentenceTransformer
    token_weights: np.ndarray | None = None
    judged: list[Windows] = field(default_factory=list)

    def __post_init__(self) -> None:
        width = self.model.get_embedding_dimension()
        assert width is not None
        # One for each fold of the documents that are judged by, and one for all others.
        self._parts = [Scatter(width) for _ in range(FOLDS + 1)]

    def add(self, windows: Windows, number: int | None) -> None:
        """Add a document, with its number among those that are judged by."""
        self._parts[FOLDS if number is None else number % FOLDS].add(
            windows.vectors, windows.document
        )
        if number is not None:
            self.judged.append(windows)

    def scatter(self, without: int | None = None) -> Scatter:
        """Of all documents, or of all outside a fold."""
        return reduce(Scatter.merged, [p for i, p in enumerate(self._parts) if i != without])

    def trial(self, seed: int) -> Trial:
        """Passages of documents with several windows, to be found among all those drawn."""
        draw = np.random.default_rng(seed)
        passages: list[str] = []
        answers: list[int] = []
        without: list[np.ndarray] = []
        for index, windows in enumerate(self.judged):
            if len(windows.vectors) < 2:
                continue
            for chosen in draw.permutation(len(windows.vectors))[:PASSAGES]:
                words = windows.passages[chosen].split()
                start = int(draw.integers(max(1, len(words) - PASSAGE_WORDS)))
                passage = " ".join(words[start : start + PASSAGE_WORDS])
                if has_text(passage):
                    passages.append(passage)
                    answers.append(index)
                    others = np.delete(windows.vectors, chosen, axis=0)
                    without.append(unit(others).mean(axis=0))
        if len(set(answers)) < 5:
            raise InputError(
                f"only {len(set(answers))} documents have two windows or more: too few to judge a "
                "whitening. Give more documents, or validation=False"
            )
        encoded = self.model.encode_with_coverage(passages, role="query")
        return Trial(
            encoded.vectors,
            np.array(answers),
            np.array(without),
            np.array([windows.document for windows in self.judged]),
        )


def _weighting(
    model: LongSentenceTransformer,
    token_weights: TokenWeighting,
    only_token_weights: bool,
    validation: bool,
) -> TokenWeighting:
    """Which weights are to be tried, after what contradicts itself is refused."""
    if token_weights not in get_args(TokenWeighting):
        ways = ", ".join(get_args(TokenWeighting))
        raise ConfigError(f"token_weights must be one of {ways}, not {token_weights!r}")
    if only_token_weights:
        if token_weights == "none":
            raise ConfigError("only_token_weights and token_weights='none' leave nothing to fit")
        token_weights = "idf"
    if model.truncate_dim is not None:
        raise ConfigError("truncate_dim cuts vectors before the map: give dimensions instead")
    if is_whitened(model):
        raise ConfigError("this model is whitened already: fit on the one that it was made from")
    if token_weights == "auto" and not (validation and _pools_by_mean(model)):
        return "none"
    return token_weights


def _pools_by_mean(model: LongSentenceTransformer) -> bool:
    try:
        refuse_unless_mean(long_transformer(model).pooling)
    except ModelError:
        return False
    return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _hash_of(digests: Sequence[bytes]) -> str:
    return f"sha256:{hashlib.sha256(b''.join(sorted(digests))).hexdigest()}"
