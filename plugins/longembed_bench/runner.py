"""Measure models with methods on tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import longembed_st as le
from longembed_bench.data import RetrievalData
from longembed_bench.metrics import ndcg_by_query
from longembed_bench.results import Result, ResultFile
from longembed_bench.retrievers import Bm25, Chunks, Hybrid, Retriever, WholeDocuments, find
from longembed_bench.runs import CHUNKS, FLOAT32, Run, loading_settings, run_settings
from longembed_bench.tasks import PASSKEY, Task
from longembed_bench.truncation import Hits, refuse_truncation
from longembed_bench.vectors import OnText, VectorFile
from longembed_st.base.settings import ModelSettings
from longembed_st.loading.hub import refuse_unknown_model
from longembed_st.loading.load import load_settings

RESULTS = "results.jsonl"
VECTORS = "vectors.sqlite3"

Watch = Callable[[str, int], AbstractContextManager[OnText]]
"""A context manager that shows progress; called with a label and the number of documents."""


def measure(
    runs: Sequence[Run],
    tasks: Sequence[Task],
    out: Path,
    watch: Watch,
    *,
    device: str | None = None,
    computing: ModelSettings = FLOAT32,
    allow_truncation: bool = False,
) -> None:
    """Measure each run on each task, and skip results that the folder already has.

    `computing` gives the `dtype` and the `backend` of the models.

    Raises:
        LongEmbedError: If a model cannot be loaded or cannot read the texts, or if a passkey curve
            shows that texts were cut.
    """
    for run in runs:
        # Check all models first: otherwise a wrong name could stop the runs after hours of work.
        if run.model is not None:
            refuse_unknown_model(run.model.path, {})
    results = ResultFile(out / RESULTS)
    # Passkey first: it is quick, and shows whether texts are cut before the other tasks are read.
    ordered = sorted(tasks, key=lambda task: task.name != PASSKEY)
    with closing(VectorFile(out / VECTORS)) as vectors:
        for run in runs:
            retriever, settings = _build(run, vectors, device, computing)
            for task in ordered:
                measured = _measure_task(run, retriever, settings, task, results, watch)
                # An unextended model always cuts long texts; the tables say so.
                if task.name == PASSKEY and not allow_truncation and run.method.name != "none":
                    hits = {result.length or 0: result.hits for result in measured}
                    refuse_truncation(run.label, hits, measured[-1].cost.coverage)


def _measure_task(
    run: Run,
    retriever: Retriever,
    settings: dict[str, Any],
    task: Task,
    results: ResultFile,
    watch: Watch,
) -> list[Result]:
    """Return the results of a task, shortest documents first."""
    measured = []
    for length, data in sorted(task.data.items(), key=lambda item: item[0] or 0):
        digest, revision = data.digest(), retriever.revision
        result = results.get(run.label, task.name, length, data=digest, revision=revision)
        if result is None:
            with watch(f"{run.label}, {task.name}", len(data.documents)) as retriever.on_text:
                scores = ndcg_by_query(data.qrels, find(retriever, data), task.cutoff)
            result = Result(
                model=run.model.name if run.model else "",
                method=run.method.label,
                task=task.name,
                length=length,
                score=sum(scores.values()) / len(scores),
                metric=task.metric,
                cost=retriever.cost(),
                hits=_hits_by_depth(data, scores),
                data=digest,
                revision=revision,
                settings=settings,
            )
            results.add(result)
        measured.append(result)
    return measured


def _hits_by_depth(data: RetrievalData, scores: Mapping[str, float]) -> Hits:
    """Return the depth of each query's needle and whether it was found; only for generated data."""
    if not data.depths:
        return []
    return [(data.depths[next(iter(data.qrels[key]))], score > 0) for key, score in scores.items()]


def _build(
    run: Run, vectors: VectorFile, device: str | None, computing: ModelSettings
) -> tuple[Retriever, dict[str, Any]]:
    """Load the model of a run, and return its retriever and its settings."""
    if run.model is None:
        return Bm25(), {}
    loaded = run_settings(run.model, run.method, computing)
    model = load_settings(loading_settings(loaded, device))
    settings = {
        "path": run.model.path,
        "fingerprint": le.fingerprint(model),
        "device": str(model.device),
        "dtype": loaded.dtype,
        "backend": loaded.backend,
        **model.long_transformer.extension.saved(),
    }
    if run.method.name == CHUNKS:
        return Chunks(model, vectors), settings
    whole = WholeDocuments(model, vectors, run.method.whitening)
    weight = run.method.hybrid
    return (whole if weight is None else Hybrid(whole, weight)), settings
