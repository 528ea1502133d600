"""One vector a document, whitened within documents or not, on a retrieval task with answers.

Each document is read once; all lines are made from the same vectors. nDCG@10 in percent, one right
document a query. The labels serve the scores only: the map is fitted without them.

    python benchmarks/whitening.py MODEL DATA [--method pcw] [--ridge 0.2]

DATA is a folder with corpus, queries and qrels as .jsonl or .jsonl.gz.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import longembed_st as le
from longembed_index.documents import jsonl_rows
from longembed_tuning.judging import held_out
from longembed_tuning.samples import read_windows
from longembed_tuning.whitening import RIDGE, Scatter, fit, unit

DIMENSIONS = (384, 256, 128, 64)
DOCUMENTS = (20, 40, 80, 160)
DRAWS = 3


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of one of the three files."""
    (file,) = sorted(folder.glob(f"{name}.jsonl*"))[:1]
    return [row for _, row in jsonl_rows(file)]


def first(row: dict[str, str], *names: str) -> str:
    """The first of some columns that a row has."""
    return next(str(row[name]) for name in names if name in row)


def ndcg(queries: np.ndarray, documents: np.ndarray, right: np.ndarray) -> float:
    """Mean nDCG@10 in percent by the dot product."""
    return score(queries @ documents.T, right)


def score(scores: np.ndarray, right: np.ndarray) -> float:
    """Mean nDCG@10 in percent of a table of scores."""
    own = scores[np.arange(len(scores)), right]
    ranks = (scores > own[:, None]).sum(axis=1)
    return float(100 * np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


def best_window(queries: np.ndarray, windows: list[np.ndarray], right: np.ndarray) -> float:
    """The score of a document is that of its best window."""
    return score(np.stack([(queries @ x.T).max(axis=1) for x in windows], axis=1), right)


def scatter(windows: list[np.ndarray], documents: np.ndarray, chosen: np.ndarray) -> Scatter:
    """Of some of the documents."""
    found = Scatter(documents.shape[1])
    for index in chosen:
        found.add(windows[index], documents[index])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--method", default="pcw")
    parser.add_argument("--ridge", type=float, default=RIDGE)
    given = parser.parse_args()
    model = le.load(given.model, given.method, model_kwargs={"dtype": torch.float32})
    corpus, asked = rows(given.data, "corpus"), rows(given.data, "queries")
    names = {first(row, "doc_id", "_id"): number for number, row in enumerate(corpus)}
    answers = {
        first(row, "qid", "query-id"): names[first(row, "doc_id", "corpus-id")]
        for row in rows(given.data, "qrels")
    }
    right = np.array([answers[first(row, "qid", "_id")] for row in asked])
    read = [read_windows(model, row["text"]) for row in corpus]
    windows, documents = [unit(one.vectors) for one in read], unit([one.document for one in read])
    queries = unit(model.encode_query([row["text"] for row in asked]))
    everything = np.arange(len(documents))
    whole = scatter(windows, documents, everything)
    made = fit(whole, ridge=given.ridge)
    print(f"{len(documents)} documents, {sum(map(len, windows))} windows, {len(queries)} queries")
    print(f"one vector a document          {ndcg(queries, documents, right):5.1f}")
    print(f"best window                    {best_window(queries, windows, right):5.1f}")
    for dimensions in DIMENSIONS:
        cut = fit(whole, ridge=given.ridge, dimensions=dimensions)
        found = ndcg(cut(queries), cut(documents), right)
        print(f"whitened, {dimensions} dimensions {'':10}{found:5.1f}  {4 * dimensions:,} bytes")
    found = best_window(made(queries), [made(x) for x in windows], right)
    print(f"whitened, best window          {found:5.1f}")
    for count in (number for number in DOCUMENTS if number < len(documents)):
        draws = [
            np.random.default_rng(seed).permutation(everything)[:count] for seed in range(DRAWS)
        ]
        maps = [fit(scatter(windows, documents, draw), ridge=given.ridge) for draw in draws]
        found = float(np.mean([ndcg(m(queries), m(documents), right) for m in maps]))
        print(f"fitted on {count:4} documents         {found:5.1f}")
    half = np.array(held_out(len(documents), 0.5, len(documents), seed=0))
    rest = np.setdiff1d(everything, half)
    inside = np.isin(right, rest)
    place = np.searchsorted(rest, right[inside])
    other = fit(scatter(windows, documents, half), ridge=given.ridge)
    plain = ndcg(queries[inside], documents[rest], place)
    print(f"one half of the documents      {plain:5.1f}")
    for label, one in (("the other", other), ("all", made)):
        found = ndcg(one(queries[inside]), one(documents[rest]), place)
        print(f"  fitted on {label:19}  {found:5.1f}")


if __name__ == "__main__":
    main()
