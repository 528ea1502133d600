"""Words, vectors and both on a retrieval task with answers; nDCG@10 in percent.

Words are scored by the package's own index, vectors are those that whitening.py has kept.
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
from longembed_index.embedding import ROWS, batches
from longembed_index.hybrid import word_shares
from longembed_index.modes import WEIGHT
from rich.progress import track
from whitening import Read, kept, ndcg, rows

from longembed_bench.retrievers import reciprocal_ranks
from longembed_index.lexical import WordFile
from longembed_st.loading.whitening import unit
from longembed_tuning.wccn import RIDGE, fit_map

WEIGHTS = tuple(round(0.1 * n, 1) for n in range(1, 10))


def by_words(corpus: list[str], queries: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of BM25, of documents and of best passages, shape (queries, documents) each."""
    ids = [f"{number:09}" for number in range(len(corpus))]
    with tempfile.TemporaryDirectory() as folder:
        words = WordFile(Path(folder), "documents")
        begin = time.perf_counter()
        for part in batches(list(zip(ids, corpus, strict=True)), ROWS):
            words.add(dict(part))
        size = words.path.stat().st_size / sum(len(text.encode()) for text in corpus)
        print(
            f"words: {words.language}, {time.perf_counter() - begin:.1f} s, {size:.0%} of the texts"
        )
        begin = time.perf_counter()
        scores = [word_shares(words.ask(query), ids) for query in track(queries)]
        milliseconds = (time.perf_counter() - begin) / len(queries) * 1_000
        print(f"all documents scored in {milliseconds:.0f} ms a query")
    return (
        np.array([[one[key].document for key in ids] for one in scores]),
        np.array([[one[key].passage for key in ids] for one in scores]),
    )


def tuned(words: np.ndarray, dense: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """The best weight on every second query; on the others, its score and the default's."""
    seen = np.arange(len(right)) % 2 == 0

    def score(weight: float, chosen: np.ndarray) -> float:
        return ndcg(((1 - weight) * words + weight * dense)[chosen], right[chosen])

    best = max(WEIGHTS, key=lambda weight: score(weight, seen))
    return best, score(best, ~seen), score(WEIGHT, ~seen)


def show(name: str, task: Read, map_: Any, document: np.ndarray, words: np.ndarray) -> None:
    """Print the lines of one kind of vectors."""
    queries = map_(task.queries)
    own = queries @ map_(task.documents).T
    best = np.stack([(queries @ map_(one).T).max(axis=1) for one in task.windows], axis=1)
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
    given = parser.parse_args()
    corpus = [row["text"] for row in rows(given.data, "corpus")]
    queries = [row["text"] for row in rows(given.data, "queries")]
    document, passage = by_words(corpus, queries)
    words = (document + passage) / 2
    right = kept(given.windows[0])["equal"].right
    for label, scores in (("documents", document), ("passages", passage), ("both", words)):
        print(f"BM25, {label}: {ndcg(scores, right):.1f}")
    for file in given.windows:
        print(file.stem)
        for name, task in kept(file).items():
            show(f"{name} weights of tokens, as it is", task, unit, document, words)
            made = fit_map(task.scatter(), ridge=RIDGE)
            show(f"{name} weights of tokens, whitened", task, made, document, words)


if __name__ == "__main__":
    main()
