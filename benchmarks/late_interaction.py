"""Late interaction without trained weights: a dense model's own token vectors rerank BM25.

    python benchmarks/late_interaction.py DATA [MODEL] [--candidates 20] [--queries N]

DATA is a folder with corpus.jsonl, queries.jsonl and qrels.jsonl. MaxSim of the best documents of
BM25, with and without inverse document frequencies of the query's tokens, and with token vectors
whitened by the corpus (no labels).
"""

from __future__ import annotations

import argparse
import string
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from measure import minilm
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Normalize

import longembed_st as le
from longembed_bench.folders import read_folder
from longembed_bench.metrics import margin, ndcg_by_query
from longembed_bench.retrievers import Bm25

RIDGE = 0.01
"""Of the mean variance, added to the covariance before it is inverted."""

SAMPLE = 200
"""Token vectors of each document that the whitening is fitted on."""


def late(name: str) -> le.LongMultiVectorEncoder:
    """Return a dense model as a late-interaction model, which leaves out punctuation."""
    modules = [
        Transformer(name, model_kwargs={"dtype": "float32"}),
        MultiVectorMask(skiplist_words=list(string.punctuation)),
        Normalize(module_input_name="token_embeddings"),
    ]
    return le.extend(MultiVectorEncoder(modules=modules, device="cpu"), "pcw")


def bm25_scores(documents: dict[str, str], queries: dict[str, str]) -> np.ndarray:
    """Return the scores of BM25, shape (queries, documents)."""
    bm25 = Bm25()
    bm25.read(list(documents.values()))
    return bm25.score(list(queries.values()))


def whitener(sample: torch.Tensor) -> torch.Tensor:
    """Return the inverse root of the uncentred covariance with a ridge, shape (width, width)."""
    covariance = sample.double().T @ sample.double() / len(sample)
    values, vectors = torch.linalg.eigh(covariance)
    values = values + RIDGE * values.mean()
    return (vectors * values.rsqrt()) @ vectors.T


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--queries", type=int)
    arguments = parser.parse_args()
    data = read_folder(arguments.data)
    queries = dict(list(data.queries.items())[: arguments.queries])
    qrels = {key: data.qrels[key] for key in queries}
    first = bm25_scores(data.documents, queries)
    names = list(data.documents)
    model = late(arguments.model)
    tokenizer = model.tokenizer
    special = set(tokenizer.all_special_ids)
    seen: Counter[int] = Counter()
    for text in data.documents.values():
        seen.update(set(tokenizer(text, verbose=False)["input_ids"]))
    query_vectors, weights = [], []
    skipped = set(tokenizer.convert_tokens_to_ids(list(string.punctuation)))
    for text in queries.values():
        query_vectors.append(model.encode_query(text))
        ids = tokenizer(text)["input_ids"]
        assert len(ids) == len(query_vectors[-1])  # Of queries nothing is left out.
        rare = [np.log((len(names) + 1) / (seen[token] + 0.5)) for token in ids]
        words = [
            0.0 if token in special | skipped else max(x, 0.0)
            for token, x in zip(ids, rare, strict=True)
        ]
        weights.append(torch.tensor(words, dtype=torch.float32))
    wanted = defaultdict(list)
    for row, scores in enumerate(first):
        for place in np.argsort(-scores, kind="stable")[: arguments.candidates]:
            wanted[int(place)].append(row)
    begin = time.perf_counter()
    vectors = {}
    for done, place in enumerate(sorted(wanted), 1):
        vectors[place] = model.encode_document(data.documents[names[place]]).half()
        if done % 20 == 0:
            print(f"read {done} of {len(wanted)} documents, {time.perf_counter() - begin:.0f} s")
    draw = torch.Generator().manual_seed(0)
    sample = torch.cat(
        [v[torch.randperm(len(v), generator=draw)[:SAMPLE]] for v in vectors.values()]
    )
    white = whitener(sample.float()).float()
    results = {name: first.copy() for name in ("maxsim", "idf", "whitened", "whitened, idf")}
    for name, scores in results.items():
        # What is not reranked stays behind what is.
        scores -= scores.max() + 1e6
        for place, rows in wanted.items():
            document = vectors[place].float()
            if "whitened" in name:
                document = torch.nn.functional.normalize(document @ white, dim=1)
            for row in rows:
                query = query_vectors[row]
                if "whitened" in name:
                    query = torch.nn.functional.normalize(query @ white, dim=1)
                best = (query @ document.T).amax(1)
                weight = weights[row] if "idf" in name else torch.ones(len(best))
                scores[row, place] = float((best * weight).sum())
    base = by_query(first, names, queries, qrels)
    print(
        f"{arguments.data.name}, {arguments.model}, best {arguments.candidates} of BM25, "
        "nDCG@10 x 100"
    )
    print(f"  BM25            {100 * np.mean(base):5.1f}")
    for name, scores in results.items():
        ours = by_query(scores, names, queries, qrels)
        mean, low, high = (100 * x for x in margin(ours, base))
        print(f"  {name:15} {100 * np.mean(ours):5.1f}   {mean:+.1f} ({low:+.1f} to {high:+.1f})")


def by_query(scores: np.ndarray, names: list[str], queries: dict, qrels: dict) -> list[float]:
    """Return nDCG@10 of each query."""
    results = {
        key: dict(zip(names, map(float, row), strict=True))
        for key, row in zip(queries, scores, strict=True)
    }
    return list(ndcg_by_query(qrels, results, 10).values())


if __name__ == "__main__":
    main()
