"""One vector a document, whitened within documents or not, on a retrieval task with answers.

Each document is read once; all lines are computed from the same vectors. nDCG@10 in percent, one
right document a query. Labels serve the scores only: whitenings and weights need none.

    python benchmarks/whitening.py MODEL DATA [--method pcw] [--keep FILE.npz] [--out FILE.json]

DATA is a folder with corpus, queries and qrels as .jsonl or .jsonl.gz. --keep saves the vectors of
windows, or reads them if the file exists, for instance to try another ridge. --out is for
whitening_plot.py.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from samples import ndcg, read_rows

import longembed_st as le
from longembed_st.files import write_atomically
from longembed_st.loading.whitening import Whitening, to_unit_length, with_whitening
from longembed_tuning.samples import read_windows
from longembed_tuning.wccn import RIDGE, Scatter, fit_map
from longembed_tuning.whiten_data import DocumentFrequencies

DIMENSIONS = (384, 256, 128, 64)
DOCUMENTS = (20, 40, 80, 120, 160, 240)
DRAWS = 3
RIDGES = (0.03, 0.1, 0.2, 0.3, 1.0)


@dataclass
class Task:
    """What a model makes of a task.

    Attributes:
        windows: The vectors of each document's windows.
        documents: Shape (documents, width).
        queries: Shape (queries, width).
        right: The document of each query.
    """

    windows: list[np.ndarray]
    documents: np.ndarray
    queries: np.ndarray
    right: np.ndarray

    def select(self, chosen: np.ndarray) -> Task:
        """Return the task with some of its documents, and the queries for these."""
        rows = np.isin(self.right, chosen)
        return Task(
            [self.windows[i] for i in chosen],
            self.documents[chosen],
            self.queries[rows],
            np.searchsorted(chosen, self.right[rows]),
        )

    def scatter(self, chosen: np.ndarray | None = None) -> Scatter:
        """Return the scatter of all documents, or of some."""
        scatter = Scatter(self.documents.shape[1])
        for i in range(len(self.documents)) if chosen is None else chosen:
            scatter.add(self.windows[i], self.documents[i])
        return scatter

    def one_vector(self, map_: Any = to_unit_length) -> float:
        """Return the score by one vector a document."""
        return ndcg(map_(self.queries) @ map_(self.documents).T, self.right)

    def best_window(self, map_: Any = to_unit_length, *, average: bool = False) -> float:
        """Return the score by the best window, or by the average of it and the document."""
        queries = map_(self.queries)
        scores = np.stack([(queries @ map_(x).T).max(axis=1) for x in self.windows], axis=1)
        if average:
            scores = (scores + queries @ map_(self.documents).T) / 2
        return ndcg(scores, self.right)


def first(row: dict[str, str], *names: str) -> str:
    """Return the value of the first of some columns that a row has."""
    return next(str(row[name]) for name in names if name in row)


def read_task(model: le.LongSentenceTransformer, folder: Path) -> dict[str, Task]:
    """Return the task as the model reads it, with equal weights of tokens and by their idf."""
    corpus, queries = read_rows(folder, "corpus"), read_rows(folder, "queries")
    names = {first(row, "doc_id", "_id"): number for number, row in enumerate(corpus)}
    answers = {
        first(row, "qid", "query-id"): names[first(row, "doc_id", "corpus-id")]
        for row in read_rows(folder, "qrels")
    }
    right = np.array([answers[first(row, "qid", "_id")] for row in queries])
    frequencies = DocumentFrequencies(model.long_transformer)
    for row in corpus:
        frequencies.add(row["text"])
    models = {
        "equal": model,
        "idf": with_whitening(model, Whitening(None, frequencies.idf())),
    }
    read = [read_windows(list(models.values()), row["text"]) for row in track(corpus)]
    texts = [row["text"] for row in queries]
    return {
        name: Task(
            windows=[variants[place].vectors for variants in read],
            documents=np.array([variants[place].document for variants in read]),
            queries=models[name].encode_query(texts),
            right=right,
        )
        for place, name in enumerate(models)
    }


def load_tasks(path: Path) -> dict[str, Task]:
    """Return what an earlier run has saved."""
    with np.load(path) as file:
        ends = np.cumsum(file["counts"])[:-1]
        return {
            name: Task(
                np.split(file[f"{name} windows"], ends),
                file[f"{name} documents"],
                file[f"{name} queries"],
                file["right"],
            )
            for name in ("equal", "idf")
        }


def save_tasks(path: Path, tasks: dict[str, Task]) -> None:
    """Write what was read to a file."""
    arrays: dict[str, Any] = {
        f"{name} {part}": array
        for name, task in tasks.items()
        for part, array in (
            ("windows", np.concatenate(task.windows)),
            ("documents", task.documents),
            ("queries", task.queries),
        )
    }
    equal = tasks["equal"]
    arrays |= {"counts": np.array([len(x) for x in equal.windows]), "right": equal.right}
    write_atomically(path, lambda file: np.savez(file, **arrays))


def measure(task: Task, ridge: float) -> dict[str, Any]:
    """Return all lines of one kind of weights of tokens."""
    everything = np.arange(len(task.documents))
    whole = task.scatter()
    began = time.perf_counter()
    whitening = fit_map(whole, ridge=ridge)
    seconds = time.perf_counter() - began

    def less_the_mean(vectors: np.ndarray) -> np.ndarray:
        mean = to_unit_length(task.documents).mean(axis=0)
        return to_unit_length((to_unit_length(vectors) - mean) @ whitening.matrix.T)

    def fitted_on(count: int) -> float:
        draws = [np.random.default_rng(n).permutation(everything)[:count] for n in range(DRAWS)]
        maps = [fit_map(task.scatter(draw), ridge=ridge) for draw in draws]
        return float(np.mean([task.one_vector(map_) for map_ in maps]))

    half = np.sort(np.random.default_rng(0).permutation(everything)[: len(everything) // 2])
    rest = task.select(np.setdiff1d(everything, half))
    return {
        "vectors a document": float(np.mean([len(x) for x in task.windows])),
        "one vector": task.one_vector(),
        "best window": task.best_window(),
        "average of both": task.best_window(average=True),
        "whitened": {
            n: task.one_vector(fit_map(whole, ridge=ridge, dimensions=n)) for n in DIMENSIONS
        },
        "whitened, best window": task.best_window(whitening),
        "whitened, average of both": task.best_window(whitening, average=True),
        "whitened, the mean subtracted": task.one_vector(less_the_mean),
        "ridge": {r: task.one_vector(fit_map(whole, ridge=r)) for r in RIDGES},
        "fitted on": {n: fitted_on(n) for n in DOCUMENTS if n < len(everything)},
        "one half": {
            "as it is": rest.one_vector(),
            "fitted on the other": rest.one_vector(fit_map(task.scatter(half), ridge=ridge)),
            "fitted on all": rest.one_vector(whitening),
        },
        "seconds of the fit": seconds,
    }


def show(results: dict[str, Any], indent: str = "") -> None:
    """Print scores, a line each."""
    for name, value in results.items():
        if isinstance(value, dict):
            print(f"{indent}{name}")
            show(value, indent + "  ")
        else:
            print(f"{indent}{name:<{36 - len(indent)}}{value:6.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--method", default="pcw")
    parser.add_argument("--max-seq-length", type=int)
    parser.add_argument("--ridge", type=float, default=RIDGE)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.keep and arguments.keep.exists():
        tasks = load_tasks(arguments.keep)
    else:
        settings = {"model_kwargs": {"dtype": torch.float32}, "on_overflow": "truncate"}
        if arguments.max_seq_length:
            settings["max_seq_length"] = arguments.max_seq_length
        tasks = read_task(le.load(arguments.model, arguments.method, **settings), arguments.data)
        if arguments.keep:
            save_tasks(arguments.keep, tasks)
    results = {name: measure(task, arguments.ridge) for name, task in tasks.items()}
    name = f"{Path(arguments.model).name} {arguments.method}, {arguments.data.name}"
    print(f"{name}: {len(tasks['equal'].documents)} documents")
    show(results)
    if arguments.out:
        arguments.out.write_text(json.dumps({"name": name, "found": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
