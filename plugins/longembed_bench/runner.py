"""Models x methods x tasks, through mteb."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import mteb

import longembed_st as le
from longembed_bench.classes import LateInteraction, Reranked, Sparse, refuse_dense_options
from longembed_bench.results import ResultFolder
from longembed_bench.retrievers import Bm25, Chunks, Found, Reading, Retriever, whole_documents
from longembed_bench.runs import CHUNKS, SINGLE, Run, load_model_of_any_class, settings_of
from longembed_bench.tasks import PASSKEY, Task
from longembed_bench.truncation import refuse_truncation
from longembed_st.base.long_model import LongModel
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError
from longembed_st.loading.hub import refuse_unknown_model


class Watcher(Protocol):
    """Who wants to know how far a measurement is."""

    def on_run(self, run: Run, task: Task, missing: list[str]) -> None:
        """A run begins with a task; these splits of it are still to be done."""

    def on_texts(self, count: int) -> None:
        """So many documents were read."""


def measure(
    runs: Sequence[Run],
    tasks: Sequence[Task],
    out: Path,
    watcher: Watcher,
    *,
    device: str | None = None,
    computing: ModelSettings = SINGLE,
    allow_truncation: bool = False,
) -> ResultFolder:
    """Measure each run on each task; what is in the folder already is not measured again.

    Args:
        runs: The lines of the tables.
        tasks: The tasks.
        out: The output folder.
        watcher: Told how far it is.
        device: Where to compute; None for the best there is.
        computing: `dtype` and `backend` of the models.
        allow_truncation: Whether to go on when a passkey curve has the mark of truncation.

    Returns:
        The folder.

    Raises:
        LongEmbedError: If a model cannot be loaded or read with, or was truncated.
    """
    for run in runs:
        # Hours of work may come before the turn of a model that does not exist.
        if run.model is not None:
            refuse_unknown_model(run.model.path, {})
    folder = ResultFolder(out)
    # Passkey first: it is quick, and a model that was cut need not read the rest.
    ordered = sorted(tasks, key=lambda task: task.label != PASSKEY)
    for run in runs:
        retriever, settings = _retriever(run, folder, device, computing)
        meta = retriever.mteb_model_meta
        folder.write_run(run, meta, settings)
        retriever.on_texts = watcher.on_texts
        for task in ordered:
            _evaluate(run, retriever, task, folder, watcher)
            # Unextended models are cut by definition; the tables say so.
            if task.label == PASSKEY and not allow_truncation and run.method.name != "none":
                _check_passkey(run, str(meta.revision), folder)
    return folder


def _retriever(
    run: Run, folder: ResultFolder, device: str | None, computing: ModelSettings
) -> tuple[Retriever, dict[str, Any]]:
    retriever, settings = _finding(run, folder, device, computing)
    choice = run.method.rerank
    if choice is None:
        return retriever, settings
    # Texts beyond a reranker's window are cut; nothing here shows it, so it must not happen.
    reranker = le.reranker_of(choice.model, device=device, dtype="float32", on_overflow="error")
    found = Reranked(run.full_name, retriever, reranker, choice)
    return found, {**settings, "rerank": choice.model, "candidates": choice.candidates}


def _finding(
    run: Run, folder: ResultFolder, device: str | None, computing: ModelSettings
) -> tuple[Retriever, dict[str, Any]]:
    if run.model is None:
        return Bm25(run.full_name), {"stemming": "english", "k1": 1.5, "b": 0.75}
    model = load_model_of_any_class(run.model, run.method, device, computing)
    given = settings_of(run.model, run.method, computing)
    fingerprint = le.fingerprint(model)
    settings = {
        "path": run.model.path,
        "fingerprint": fingerprint,
        "device": str(model.device),
        "dtype": given.dtype or "float32",
        **({"backend": given.backend} if given.backend else {}),
        **model.long_transformer.extension.saved(),
    }
    if not isinstance(model, le.LongSentenceTransformer):
        return _of_class(run, model, folder), settings
    if run.method.whitening is not None:
        settings["whitening"] = {"fitted on": "the corpus, no labels", **run.method.whitening}
    if run.method.name == CHUNKS:
        return Chunks(run.full_name, model, folder.vectors.of(fingerprint)), settings
    return whole_documents(run.full_name, model, run.method, folder.vectors), settings


def _of_class(run: Run, model: LongModel, folder: ResultFolder) -> Retriever:
    """What finds documents with a model that gives no dense vectors of texts."""
    refuse_dense_options(run.method, model.model_type)
    if run.method.name == CHUNKS:
        raise ConfigError(
            f"chunks are for SentenceTransformers, and {run.model} is a {model.model_type}: use "
            "--no-baselines"
        )
    if isinstance(model, le.LongSparseEncoder):
        return Sparse(run.full_name, model)
    if isinstance(model, le.LongMultiVectorEncoder):
        choice = run.method.tokens
        if choice.pool > 1:
            from sentence_transformers.multi_vector_encoder.modules import HierarchicalTokenPooling

            model.append(HierarchicalTokenPooling(pool_factor=choice.pool))
        cache = folder.vectors.tokens(le.fingerprint(model), choice.pool)
        return LateInteraction(run.full_name, model, choice, cache)
    raise ConfigError(
        f"a {model.model_type} cannot compare every query with every document: rerank with it, "
        "-m bm25:rerank=MODEL"
    )


def _evaluate(
    run: Run, retriever: Retriever, task: Task, folder: ResultFolder, watcher: Watcher
) -> None:
    meta = retriever.mteb_model_meta
    current = folder.is_current(meta, task)
    stored = folder.cache.load_task_result(task.name, meta) if current else None
    missing = [split for split in task.data if stored is None or split not in stored.scores]
    watcher.on_run(run, task, missing)
    if not missing:
        return
    retriever.on_searched = _keeper(folder, retriever, task)
    with warnings.catch_warnings():
        # mteb's own notes on metadata that local tasks do not have.
        warnings.simplefilter("ignore", UserWarning)
        mteb.evaluate(
            retriever,
            task.mteb_task,
            cache=folder.cache,
            overwrite_strategy="only-missing" if current else "always",
            co2_tracker=False,
            show_progress_bar=False,
        )


def _keeper(
    folder: ResultFolder, retriever: Retriever, task: Task
) -> Callable[[str, Found, Reading], None]:
    def keep(split: str, found: Found, reading: Reading) -> None:
        folder.write_reading(retriever.mteb_model_meta, task, split, found, reading)

    return keep


def _check_passkey(run: Run, revision: str, folder: ResultFolder) -> None:
    curve = {
        result.length: result
        for result in folder.results()
        if (result.label, result.task, result.fingerprint) == (run.label, PASSKEY, revision)
        and result.length is not None
    }
    if curve:
        hits = {length: result.hits for length, result in curve.items()}
        refuse_truncation(run.label, hits, curve[max(curve)].reading.coverage)
