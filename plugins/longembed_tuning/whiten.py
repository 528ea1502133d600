"""Whitening of a model: fitted on documents without labels, judged on some of them, built in.

The entry point is `whiten`, and on the command line `longembed whiten`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.files import whole_folder
from longembed_st.loading.load import extend
from longembed_st.model import LongSentenceTransformer
from longembed_st.reading.transformer import long_transformer
from longembed_st.settings import ExtensionConfig
from longembed_st.texts import has_text
from longembed_tuning import judging
from longembed_tuning.duplicates import near_duplicates, sketch
from longembed_tuning.judging import Judgement, Trial
from longembed_tuning.samples import Windows, read_windows
from longembed_tuning.whitening import RIDGE, Scatter, WhiteningMap, fit, unit

SHARE, MOST_HELD_OUT = 0.3, 200
PASSAGES = 3
"""Of each document held out."""

PASSAGE_WORDS = 30
"""About a question with its context: a whole window would find its document too easily."""


@dataclass(frozen=True)
class Whitening:
    """A fit and what is known of it.

    Attributes:
        map: To be built into the model.
        judgement: On documents held out; None if it was not asked for.
        documents: Fitted on.
        windows: Of these documents.
        partly_read: Of the documents, how many are longer than the model's window.
        repeated: Documents left out as near-duplicates of others.
        corpus: Hash of the documents' texts, in any order.
        ridge: Of the fit.
    """

    map: WhiteningMap
    judgement: Judgement | None
    documents: int
    windows: int
    partly_read: int
    repeated: int
    corpus: str
    ridge: float


def whiten(
    model: LongSentenceTransformer,
    documents: Sequence[str],
    *,
    dimensions: int | None = None,
    ridge: float = RIDGE,
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
        validation: Whether to judge the map on documents held out, and refuse it if it gains
            nothing.

    Returns:
        The model with stock modules behind it: `Normalize`, `Dense`, `Normalize`.

    Raises:
        ConfigError: If a setting is out of range.
        InputError: If the documents are too few, or all alike.
        ModelError: If the map gains nothing on documents held out.
    """
    made = fit_whitening(
        model, documents, dimensions=dimensions, ridge=ridge, validation=validation
    )
    if made.judgement is not None and not made.judgement.gains:
        raise ModelError(f"{told(made.judgement)}. Leave the model as it is, or validation=False")
    return with_map(model, made.map)


def fit_whitening(
    model: LongSentenceTransformer,
    documents: Sequence[str],
    *,
    dimensions: int | None = None,
    ridge: float = RIDGE,
    validation: bool = True,
    seed: int = 0,
    on_document: Callable[[], None] = lambda: None,
) -> Whitening:
    """Read documents, fit a map on all of them, and judge one that is fitted on most of them.

    Args:
        model: An extended model.
        documents: The texts.
        dimensions: As for `whiten`.
        ridge: As for `whiten`.
        validation: Whether to judge.
        seed: Of the documents held out and of the passages.
        on_document: Called after each document that was read.

    Raises:
        ConfigError: If a setting is out of range, or the model cuts its vectors.
        InputError: If the documents are too few, or all alike.
    """
    if model.truncate_dim is not None:
        raise ConfigError("truncate_dim cuts vectors before the map: give dimensions instead")
    texts = [text for text in documents if has_text(text)]
    repeated = set(near_duplicates(map(sketch, texts)))
    kept = [text for index, text in enumerate(texts) if index not in repeated]
    held = set(judging.held_out(len(kept), SHARE, MOST_HELD_OUT, seed)) if validation else set()
    if not kept:
        raise InputError("there is no document with a text to fit the whitening on")
    width = model.get_embedding_dimension()
    assert width is not None
    rest, aside = Scatter(width), Scatter(width)
    count = partly_read = 0
    trials: list[Windows] = []
    for index, text in enumerate(kept):
        windows = read_windows(model, text)
        (aside if index in held else rest).add(windows.vectors, windows.document)
        if index in held:
            trials.append(windows)
        count += len(windows.vectors)
        partly_read += windows.unread > 0
        on_document()
    judgement = None
    if validation:
        trial = _trial(model, trials, seed)
        judgement = judging.judge(trial, fit(rest, ridge=ridge, dimensions=dimensions), seed)
    return Whitening(
        map=fit(rest.merged(aside), ridge=ridge, dimensions=dimensions),
        judgement=judgement,
        documents=len(kept),
        windows=count,
        partly_read=partly_read,
        repeated=len(repeated),
        corpus=corpus_hash(kept),
        ridge=ridge,
    )


def with_map(model: LongSentenceTransformer, made: WhiteningMap) -> LongSentenceTransformer:
    """A model with a map behind its modules.

    Args:
        model: An extended model; stays as it is.
        made: The map.
    """
    dimensions, width = made.matrix.shape
    dense = Dense(
        width,
        dimensions,
        activation_function=nn.Identity(),
        init_weight=torch.tensor(made.matrix, dtype=torch.float32),
        init_bias=torch.tensor(made.offset, dtype=torch.float32),
    )
    extension = long_transformer(model).extension
    same = {name: getattr(extension, name) for name in ExtensionConfig.model_fields}
    options = same.pop("method_options")
    whitened = extend(model, **same, **options)
    last = list(whitened.children())[-1]
    before = [] if isinstance(last, Normalize) else [Normalize()]
    # Not by `append`: the names of the modules have a gap where the pooling was.
    first = 1 + max(int(name) for name, _ in whitened.named_children())
    for number, module in enumerate([*before, dense.to(model.device), Normalize()], first):
        whitened.add_module(str(number), module)
    return whitened


def save(model: LongSentenceTransformer, made: Whitening, folder: Path) -> None:
    """Write a whitened model with a card that says what it was fitted on, whole or not at all.

    Args:
        model: From `with_map`.
        made: The fit.
        folder: New, or empty.
    """
    with whole_folder(folder) as unfinished:
        model.save_pretrained(str(unfinished))
        with Path(unfinished, "README.md").open("a", encoding="utf8") as file:
            file.write(card(made))


def told(judgement: Judgement) -> str:
    """A judgement in one sentence.

    Args:
        judgement: Of a map.
    """
    verdict = "helps" if judgement.gains else "gains nothing"
    return (
        f"Whitening {verdict}: of {judgement.queries} passages, each to find its document among "
        f"{judgement.documents} held out of the fit, nDCG@10 {judgement.before:.1f} before, "
        f"{judgement.after:.1f} after (95% interval of the difference {judgement.low:+.1f} to "
        f"{judgement.high:+.1f})"
    )


def corpus_hash(texts: Sequence[str]) -> str:
    """A hash of some texts, whatever their order, that tells nothing of what they say.

    Args:
        texts: The texts.
    """
    each = sorted(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts)
    return f"sha256:{hashlib.sha256(b''.join(each)).hexdigest()}"


def card(made: Whitening) -> str:
    """What a model card says of a whitening.

    Args:
        made: The fit.
    """
    dimensions, width = made.map.matrix.shape
    rows: Mapping[str, object] = {
        "documents": f"{made.documents:,} ({made.repeated:,} near-duplicates left out)",
        "windows": f"{made.windows:,}",
        "documents not read to their end": f"{made.partly_read:,}",
        "corpus": made.corpus,
        "ridge": made.ridge,
        "dimensions": f"{dimensions} of {width}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    judged = f"\n\n{told(made.judgement)}." if made.judgement else ""
    return (
        "\n\n## Whitening within documents\n\nThe last modules are a linear map, fitted without "
        "labels: within-class covariance normalisation (Hatch, Kajarekar and Stolcke 2006) with "
        "the document as the class. Vectors cannot be compared with those of the unwhitened "
        f"model.\n\n| fitted on | |\n|---|---|\n{table}{judged}\n"
    )


def _trial(model: LongSentenceTransformer, held: Sequence[Windows], seed: int) -> Trial:
    """Passages of documents with several windows, to be found among all documents held out."""
    draw = np.random.default_rng(seed)
    passages: list[str] = []
    answers: list[int] = []
    without: list[np.ndarray] = []
    for index, windows in enumerate(held):
        if windows.passages is None or len(windows.vectors) < 2:
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
            f"only {len(set(answers))} of the documents held out have two windows or more: too few "
            "to judge a whitening. Give more documents, or validation=False"
        )
    encoded = model.encode_with_coverage(passages, role="query")
    return Trial(
        encoded.vectors,
        np.array(answers),
        np.array(without),
        np.array([windows.document for windows in held]),
    )
