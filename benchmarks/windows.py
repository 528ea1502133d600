"""Parallel context windows over a text of 32,768 tokens.

Compared with the same windows as separate texts in stock sentence-transformers at batch size 32.

    python benchmarks/windows.py [--runs 5]
"""

from __future__ import annotations

import argparse

import numpy as np
from measure import interleaved, minilm, random_texts
from sentence_transformers import SentenceTransformer

import longembed_st as le


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    stock = SentenceTransformer(minilm())
    model = le.extend(stock, "pcw")
    (text,) = random_texts([32768], seed=0)
    (coverage,) = le.coverage(model, [text])
    windows = [text[start:end] for start, end in coverage.spans]
    mean = np.mean([pooled_vector(stock, window) for window in windows], axis=0)
    ours = model.encode(text)
    assert np.abs(ours - mean / np.linalg.norm(mean)).max() < 1e-5, "the two sides differ"
    our_seconds, stock_seconds = interleaved(
        runs, lambda: model.encode(text), lambda: stock.encode(windows, batch_size=32)
    )
    print(f"pcw over {coverage.tokens:,} tokens, {coverage.passes} windows, MiniLM, fp32, CPU")
    print(f"  longembed-st  {our_seconds:7.2f} s")
    print(f"  stock         {stock_seconds:7.2f} s")
    print(f"  time ratio    {our_seconds / stock_seconds:7.3f}    (goal: at most 1.05)")


def pooled_vector(model: SentenceTransformer, text: str) -> np.ndarray:
    """Return the pooled vector of a text before it is normalised."""
    features = model[1](model[0](model[0].preprocess([text])))
    return features["sentence_embedding"][0].detach().numpy()


if __name__ == "__main__":
    main()
