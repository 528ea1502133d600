"""Whitening of a model: fitted on documents without labels, judged on some of them, built in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from numpy.typing import ArrayLike

from longembed_st.errors import ConfigError, ModelError
from longembed_st.loading.whitening import (
    Whitening,
    WhiteningMap,
    is_whitened,
    to_unit_length,
    with_whitening,
)
from longembed_st.sentence_transformer.model import LongSentenceTransformer
from longembed_st.sentence_transformer.token_weights import refuse_unless_mean
from longembed_st.sentence_transformer.transformer import long_transformer
from longembed_tuning.judging import FOLDS, compare, draw_documents, ndcg
from longembed_tuning.samples import Windows, read_windows
from longembed_tuning.wccn import LEAST_DOCUMENTS, RIDGE, Scatter, fit_map
from longembed_tuning.whiten_data import Survey, Variant
from longembed_tuning.whiten_report import Fit, describe

TokenWeighting = Literal["auto", "idf", "none"]

MOST_JUDGED = 200
"""Documents that passages are looked up in."""

OnDocument = Callable[[str, Sequence[Windows]], None]
"""Called with each document that was read, and its vectors by each variant of the model."""


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
    """Return the model whitened within documents, so that its vectors tell them apart better.

    One vector a document then ranks far better on most corpora whose documents each have a subject
    (docs/WHITENING.md, with the cases in which it hurts). Queries and documents go through one map.

    Args:
        model: An extended model; stays as it is.
        documents: Texts of the corpus that will be searched, or of one like it; no labels. At least
            20 of them longer than the original window.
        dimensions: How many numbers of a vector to keep; None for all.
        ridge: Strength of the regularisation.
        token_weights: "idf" weighs the tokens in the mean of a window by their inverse document
            frequency; "auto" does so if it gains on documents held out; "none" never does.
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
    fit = fit_whitening(
        model,
        documents,
        dimensions=dimensions,
        ridge=ridge,
        token_weights=token_weights,
        only_token_weights=only_token_weights,
        validation=validation,
    )
    if fit.judgement is not None and not fit.gains:
        raise ModelError(
            f"{describe(fit.judgement)}. Leave the model as it is, or pass validation=False"
        )
    return with_whitening(model, fit.whitening)


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
    split: Callable[[str], ArrayLike] | None = None,
) -> Fit:
    """Read documents, fit a whitening on all of them, and judge it by cross-validation.

    Args:
        model: An extended model.
        documents: The texts. Each is taken from the sequence twice, and none is kept.
        dimensions: The same as for `whiten`.
        ridge: The same as for `whiten`.
        token_weights: The same as for `whiten`.
        only_token_weights: The same as for `whiten`.
        validation: Whether to judge it.
        seed: Chooses the documents held out and the passages.
        on_document: Called with each document that was read.
        split: Gives the units of a document, for `on_document`; None to leave them out.

    Raises:
        ConfigError: If a setting is out of range, or contradicts another, or the model is whitened
            already or cuts its vectors.
        InputError: If the documents are too few, or all alike.
        ModelError: If the model's tokens cannot be weighted.
    """
    weighting = _weighting(model, token_weights, only_token_weights, validation)
    survey = Survey.of(model, documents, count_tokens=weighting != "none")
    judged = draw_documents(len(survey.kept), MOST_JUDGED, seed) if validation else []
    number_of = {place: number for number, place in enumerate(judged)}
    variants = [Variant(model)]
    if survey.frequencies is not None:
        weights = survey.frequencies.idf()
        weighted = with_whitening(model, Whitening(None, weights))
        variants.append(Variant(weighted, weights))
    count = partly_read = 0
    for place, number in enumerate(survey.kept):
        text = documents[number]
        ranges = None if split is None else split(text)
        read = read_windows([variant.model for variant in variants], text, ranges)
        for variant, windows in zip(variants, read, strict=True):
            variant.add(replace(windows, units=None), number_of.get(place))
        count += len(read[0].vectors)
        partly_read += read[0].coverage.read < read[0].coverage.tokens
        on_document(text, read)

    def fitted(scatter: Scatter, least: int = LEAST_DOCUMENTS) -> WhiteningMap | None:
        if only_token_weights:
            return None
        return fit_map(scatter, ridge=ridge, dimensions=dimensions, least=least)

    maps = [fitted(variant.scatter()) for variant in variants]
    chosen = 0 if weighting == "none" else 1
    judgement = weights_judgement = None
    if validation:
        # Whether there are too few documents was checked for all of them; a fold may have few.
        of_folds = [
            [
                fitted(variant.scatter(without=fold), least=1) or to_unit_length
                for fold in range(FOLDS)
            ]
            for variant in variants
        ]
        trials = [variant.trial(seed) for variant in variants]
        before = ndcg(trials[0], [to_unit_length] * FOLDS)
        after = [ndcg(trial, of_fold) for trial, of_fold in zip(trials, of_folds, strict=True)]
        if len(variants) > 1 and not only_token_weights:
            weights_judgement = compare(after[0], after[1], trials[0], seed)
            if weighting == "auto":
                chosen = int(weights_judgement.gains)
        judgement = compare(before, after[chosen], trials[0], seed)
    best = variants[chosen]
    map_ = maps[chosen]
    notes = {
        "documents": f"{len(survey.kept):,} ({survey.repeated:,} near-duplicates left out)",
        "windows": f"{count:,}",
        "documents not read to their end": f"{partly_read:,}",
        "corpus": survey.corpus,
        "weights of tokens": "none" if best.token_weights is None else "inverse document frequency",
    }
    if map_ is not None:
        kept, width = map_.matrix.shape
        notes |= {"ridge": str(ridge), "dimensions": f"{kept} of {width}"}
    return Fit(
        whitening=Whitening(map_, best.token_weights, notes),
        variant=chosen,
        judgement=judgement,
        weighting=weights_judgement,
        documents=len(survey.kept),
        windows=count,
        differences=best.scatter().differences,
        partly_read=partly_read,
        repeated=survey.repeated,
    )


def _weighting(
    model: LongSentenceTransformer,
    token_weights: TokenWeighting,
    only_token_weights: bool,
    validation: bool,
) -> TokenWeighting:
    """Return which weights to try; raise `ConfigError` for options that contradict each other."""
    if token_weights not in get_args(TokenWeighting):
        ways = ", ".join(get_args(TokenWeighting))
        raise ConfigError(f"token_weights must be one of {ways}, not {token_weights!r}")
    if only_token_weights:
        if token_weights == "none":
            raise ConfigError("only_token_weights and token_weights='none' leave nothing to fit")
        token_weights = "idf"
    if model.truncate_dim is not None:
        raise ConfigError("truncate_dim cuts vectors before the map: use dimensions instead")
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
