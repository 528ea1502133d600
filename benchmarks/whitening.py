"""One vector a document, whitened within documents or not, on a retrieval task with answers.

Each document is read once; all lines are made from the same vectors. nDCG@10 in percent, one right
document a query. The labels serve the scores only: whitenings and weights are fitted without them.

    python benchmarks/whitening.py MODEL DATA [--method pcw] [--keep FILE.npz] [--out FILE.json]

DATA is a folder with corpus, queries and qrels as .jsonl or .jsonl.gz. --keep holds the vectors of
windows, to go on from or to start again with another ridge. --out is for whitening_plot.py.
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

import longembed_st as le
from longembed_index.documents import jsonl_rows
from longembed_st.files import write_atomically
from longembed_st.loading.whitening import Whitening, unit, with_whitening
from longembed_tuning.frequencies import DocumentFrequencies
from longembed_tuning.samples import read_windows
from longembed_tuning.wccn import RIDGE, Scatter, fit_map

DIMENSIONS = (384, 256, 128, 64)
DOCUMENTS = (20, 40, 80, 120, 160, 240)
DRAWS = 3
RIDGES = (0.03, 0.1, 0.2, 0.3, 1.0)


@dataclass
class Read:
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

    def of(self, chosen: np.ndarray) -> Read:
        """The task with some of its documents, and the queries for these."""
        asked = np.isin(self.right, chosen)
        return Read(
            [self.windows[i] for i in chosen],
            self.documents[chosen],
            self.queries[asked],
            np.searchsorted(chosen, self.right[asked]),
        )

    def scatter(self, chosen: np.ndarray | None = None) -> Scatter:
        """Of all documents, or of some."""
        found = Scatter(self.documents.shape[1])
        for i in range(len(self.documents)) if chosen is None else chosen:
            found.add(self.windows[i], self.documents[i])
        return found

    def one_vector(self, map_: Any = unit) -> float:
        """The score by one vector a document."""
        return ndcg(map_(self.queries) @ map_(self.documents).T, self.right)

    def best_window(self, map_: Any = unit, *, average: bool = False) -> float:
        """The score if that of a document is its best window's, or the average of both."""
        queries = map_(self.queries)
        scores = np.stack([(queries @ map_(x).T).max(axis=1) for x in self.windows], axis=1)
        if average:
            scores = (scores + queries @ map_(self.documents).T) / 2
        return ndcg(scores, self.right)


def ndcg(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean nDCG@10 in percent of a table of scores."""
    own = scores[np.arange(len(scores)), right]
    ranks = (scores > own[:, None]).sum(axis=1)
    return float(100 * np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one of the three files."""
    (file,) = sorted(folder.glob(f"{name}.jsonl*"))[:1]
    return [row for _, row in jsonl_rows(file)]


def first(row: dict[str, str], *names: str) -> str:
    """The first of some columns that a row has."""
    return next(str(row[name]) for name in names if name in row)


def read_task(model: le.LongSentenceTransformer, folder: Path) -> dict[str, Read]:
    """The task as the model reads it, with equal weights of tokens and by their idf."""
    corpus, asked = rows(folder, "corpus"), rows(folder, "queries")
    names = {first(row, "doc_id", "_id"): number for number, row in enumerate(corpus)}
    answers = {
        first(row, "qid", "query-id"): names[first(row, "doc_id", "corpus-id")]
        for row in rows(folder, "qrels")
    }
    right = np.array([answers[first(row, "qid", "_id")] for row in asked])
    frequencies = DocumentFrequencies(model.long_transformer)
    for row in corpus:
        frequencies.add(row["text"])
    models = {
        "equal": model,
        "idf": with_whitening(model, Whitening(None, frequencies.idf())),
    }
    read = [read_windows(list(models.values()), row["text"]) for row in track(corpus)]
    texts = [row["text"] for row in asked]
    return {
        name: Read(
            windows=[one[place].vectors for one in read],
            documents=np.array([one[place].document for one in read]),
            queries=models[name].encode_query(texts),
            right=right,
        )
        for place, name in enumerate(models)
    }


def kept(path: Path) -> dict[str, Read]:
    """What an earlier run has read."""
    with np.load(path) as file:
        ends = np.cumsum(file["counts"])[:-1]
        return {
            name: Read(
                np.split(file[f"{name} windows"], ends),
                file[f"{name} documents"],
                file[f"{name} queries"],
                file["right"],
            )
            for name in ("equal", "idf")
        }


def keep(path: Path, tasks: dict[str, Read]) -> None:
    """Write what was read."""
    arrays: dict[str, Any] = {
        f"{name} {part}": array
        for name, task in tasks.items()
        for part, array in (
            ("windows", np.concatenate(task.windows)),
            ("documents", task.documents),
            ("queries", task.queries),
        )
    }
    one = tasks["equal"]
    arrays |= {"counts": np.array([len(x) for x in one.windows]), "right": one.right}
    write_atomically(path, lambda file: np.savez(file, **arrays))


def measure(task: Read, ridge: float) -> dict[str, Any]:
    """All lines of one kind of weights."""
    everything = np.arange(len(task.documents))
    whole = task.scatter()
    begin = time.perf_counter()
    made = fit_map(whole, ridge=ridge)
    seconds = time.perf_counter() - begin

    def less_the_mean(vectors: np.ndarray) -> np.ndarray:
        mean = unit(task.documents).mean(axis=0)
        return unit((unit(vectors) - mean) @ made.matrix.T)

    def fitted_on(count: int) -> float:
        draws = [np.random.default_rng(n).permutation(everything)[:count] for n in range(DRAWS)]
        maps = [fit_map(task.scatter(draw), ridge=ridge) for draw in draws]
        return float(np.mean([task.one_vector(map_) for map_ in maps]))

    half = np.sort(np.random.default_rng(0).permutation(everything)[: len(everything) // 2])
    rest = task.of(np.setdiff1d(everything, half))
    return {
        "vectors a document": float(np.mean([len(x) for x in task.windows])),
        "one vector": task.one_vector(),
        "best window": task.best_window(),
        "average of both": task.best_window(average=True),
        "whitened": {
            n: task.one_vector(fit_map(whole, ridge=ridge, dimensions=n)) for n in DIMENSIONS
        },
        "whitened, best window": task.best_window(made),
        "whitened, average of both": task.best_window(made, average=True),
        "whitened, the mean subtracted": task.one_vector(less_the_mean),
        "ridge": {r: task.one_vector(fit_map(whole, ridge=r)) for r in RIDGES},
        "fitted on": {n: fitted_on(n) for n in DOCUMENTS if n < len(everything)},
        "one half": {
            "as it is": rest.one_vector(),
            "fitted on the other": rest.one_vector(fit_map(task.scatter(half), ridge=ridge)),
            "fitted on all": rest.one_vector(made),
        },
        "seconds of the fit": seconds,
    }


def show(found: dict[str, Any], indent: str = "") -> None:
    """Print scores, a line each."""
    for name, value in found.items():
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
    given = parser.parse_args()
    if given.keep and given.keep.exists():
        tasks = kept(given.keep)
    else:
        settings = {"model_kwargs": {"dtype": torch.float32}, "on_overflow": "truncate"}
        if given.max_seq_length:
            settings["max_seq_length"] = given.max_seq_length
        tasks = read_task(le.load(given.model, given.method, **settings), given.data)
        if given.keep:
            keep(given.keep, tasks)
    found = {name: measure(task, given.ridge) for name, task in tasks.items()}
    name = f"{Path(given.model).name} {given.method}, {given.data.name}"
    print(f"{name}: {len(tasks['equal'].documents)} documents")
    show(found)
    if given.out:
        given.out.write_text(json.dumps({"name": name, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
