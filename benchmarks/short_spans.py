"""Spans shorter than a window on a retrieval task with answers, beside the windows themselves.

Scores by a document's own vector, by its best span and by the average of both, as they are and
whitened; nDCG@10 in percent. The whitening is fitted on the windows, as the package does it,
without labels.

    python benchmarks/short_spans.py MODEL DATA WINDOWS.npz [--span-tokens 128]

WINDOWS.npz is what whitening.py has saved of the same model and data.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from whitening import Task, load_tasks, read_rows

import longembed_st as le
from longembed_tuning.wccn import RIDGE, fit_map


def show(label: str, task: Task, windows: Task) -> None:
    """Print the scores of one kind of spans."""
    whitening = fit_map(windows.scatter(), ridge=RIDGE)
    count = np.mean([len(vectors) for vectors in task.windows])
    print(f"{label}: {count:.1f} a document")
    for name, map_ in (("as they are", {}), ("whitened", {"map_": whitening})):
        own, best = task.one_vector(**map_), task.best_window(**map_)
        average = task.best_window(**map_, average=True)
        print(f"  {name:12} document {own:.1f}, best span {best:.1f}, average {average:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("windows", type=Path)
    parser.add_argument("--method", default="pcw")
    parser.add_argument("--span-tokens", type=int, default=128)
    arguments = parser.parse_args()
    windows = load_tasks(arguments.windows)["equal"]
    show("windows", windows, windows)
    settings = {"model_kwargs": {"dtype": torch.float32}, "on_overflow": "truncate"}
    model = le.load(arguments.model, arguments.method, **settings)
    texts = [row["text"] for row in read_rows(arguments.data, "corpus")]
    if len(texts) != len(windows.windows):
        raise SystemExit(
            f"{arguments.windows} is of {len(windows.windows)} documents, not {len(texts)}"
        )
    read = [
        model.encode_spans([text], span_tokens=arguments.span_tokens)[0] for text in track(texts)
    ]
    # Another model, or another order of the documents, would show here.
    gap = max(
        float(np.abs(spans.document - vector / np.linalg.norm(vector)).max())
        for spans, vector in zip(read, windows.documents, strict=True)
    )
    print(f"documents' vectors differ by {gap:.4f} at most")
    short = replace(windows, windows=[spans.vectors for spans in read])
    show(f"{arguments.span_tokens} tokens", short, windows)


if __name__ == "__main__":
    main()
