"""Words, vectors and both on a retrieval task with answers; nDCG@10 in percent.

Words are scored by the package's own index, vectors are those that whitening.py has saved.
Whitenings are fitted on the corpus, without labels.

    python benchmarks/hybrid.py DATA WINDOWS.npz [WINDOWS.npz ...]

DATA is a folder with corpus, queries and qrels as .jsonl or .jsonl.gz.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import reciprocal_ranks, timed
from rich.progress import track
from samples import ndcg, read_rows, word_index
from whitening import Task, load_tasks

from longembed_index.search.ranking import WEIGHT
from longembed_index.search.scores import lexical_scores
from longembed_st.loading.whitening import to_unit_length
from longembed_tuning.wccn import RIDGE, fit_map

WEIGHTS = tuple(round(0.1 * n, 1) for n in range(1, 10))


def by_words(corpus: list[str], queries: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of BM25 by document and by best passage, shape (queries, documents)."""
    texts = {f"{number:09}": text for number, text in enumerate(corpus)}
    ids = list(texts)
    with tempfile.TemporaryDirectory() as folder:
        seconds, words = timed(lambda: word_index(folder, texts))
        size = words.path.stat().st_size / sum(len(text.encode()) for text in corpus)
        print(f"words: {words.language}, {seconds:.1f} s, {size:.0%} of the texts")
        began = time.perf_counter()
        parts = [
            lexical_scores(ids, asked.scores(ids), asked.highest).parts
            for asked in map(words.query, track(queries))
        ]
        milliseconds = (time.perf_counter() - began) / len(queries) * 1_000
        print(f"all documents scored in {milliseconds:.0f} ms a query")
    return (
        np.stack([part["document_words"] for part in parts]),
        np.stack([part["best_passage_words"] for part in parts]),
    )


def tuned(words: np.ndarray, dense: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """Tune the weight on half of the queries; return it, its score on the others, the default's."""
    tuning_half = np.arange(len(right)) % 2 == 0

    def score(weight: float, chosen: np.ndarray) -> float:
        return ndcg(((1 - weight) * words + weight * dense)[chosen], right[chosen])

    best = max(WEIGHTS, key=lambda weight: score(weight, tuning_half))
    return best, score(best, ~tuning_half), score(WEIGHT, ~tuning_half)


def show(name: str, task: Task, map_: Any, document: np.ndarray, words: np.ndarray) -> None:
    """Print the lines of one kind of vectors."""
    queries = map_(task.queries)
    own = queries @ map_(task.documents).T
    best = np.stack([(queries @ map_(window).T).max(axis=1) for window in task.windows], axis=1)
    for label, dense in (("document", own), ("average", (own + best) / 2)):
        print(f"  {name}, {label}: alone {ndcg(dense, task.right):.1f}")
        fused = [ndcg((1 - w) * words + w * dense, task.right) for w in WEIGHTS]
        listed = ", ".join(f"{w} {score:.1f}" for w, score in zip(WEIGHTS, fused, strict=True))
        print(f"    hybrid by weight: {listed}")
        weight, other, default = tuned(words, dense, task.right)
        print(f"    tuned on half: {weight}, other half {other:.1f}; by default {default:.1f}")
        ranks = reciprocal_ranks(document) + reciprocal_ranks(dense)
        print(f"    reciprocal ranks: {ndcg(ranks, task.right):.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("windows", type=Path, nargs="+")
    arguments = parser.parse_args()
    corpus = [row["text"] for row in read_rows(arguments.data, "corpus")]
    queries = [row["text"] for row in read_rows(arguments.data, "queries")]
    document, passage = by_words(corpus, queries)
    words = (document + passage) / 2
    right = load_tasks(arguments.windows[0])["equal"].right
    for label, scores in (("documents", document), ("passages", passage), ("both", words)):
        print(f"BM25, {label}: {ndcg(scores, right):.1f}")
    for file in arguments.windows:
        print(file.stem)
        for name, task in load_tasks(file).items():
            show(f"{name} weights of tokens, as it is", task, to_unit_length, document, words)
            whitening = fit_map(task.scatter(), ridge=RIDGE)
            show(f"{name} weights of tokens, whitened", task, whitening, document, words)


if __name__ == "__main__":
    main()
