"""A mixed batch: 100 texts of 100 to 8,000 tokens, MiniLM extended to 8,192 tokens by pi.

Compared with the same extended weights, baked, in stock sentence-transformers at batch size 32.

    python benchmarks/batching.py [--runs 3]
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import extra_peak_megabytes, interleaved, minilm, random_texts
from sentence_transformers import SentenceTransformer

import longembed_st as le

WINDOW = 8192


def texts() -> list[str]:
    """Return texts of log-uniform lengths, always the same."""
    random = np.random.default_rng(0)
    return random_texts(np.exp(random.uniform(np.log(100), np.log(8000), 100)).astype(int), seed=1)


def ours() -> Callable[[], np.ndarray]:
    """Return our side, ready to run."""
    model = le.load(minilm(), "pi", max_seq_length=WINDOW)
    model.encode("warm up")
    return lambda: model.encode(texts(), batch_size=32)


def stock(folder: str) -> Callable[[], np.ndarray]:
    """Return the other side, ready to run."""
    model = SentenceTransformer(folder)
    model.encode("warm up")
    return lambda: model.encode(texts(), batch_size=32)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        baked = str(Path(folder, "baked"))
        le.bake(le.load(minilm(), "pi", max_seq_length=WINDOW), baked)
        our_memory = extra_peak_megabytes(ours)
        stock_memory = extra_peak_megabytes(stock, baked)
        long = [text for text in texts() if len(text.split()) > 256][:3]
        a, b = le.load(minilm(), "pi", max_seq_length=WINDOW), SentenceTransformer(baked)
        assert np.abs(a.encode(long) - b.encode(long)).max() < 1e-5, "the two sides differ"
        our_seconds, stock_seconds = interleaved(runs, ours(), stock(baked))
    print("100 texts of 100 to 8,000 tokens, MiniLM, pi to 8,192 tokens, fp32, CPU")
    print(f"  longembed-st  {our_seconds:7.1f} s  {our_memory:8.0f} MB extra peak")
    print(f"  stock         {stock_seconds:7.1f} s  {stock_memory:8.0f} MB extra peak")
    print(f"  speed ratio   {stock_seconds / our_seconds:7.2f}    (goal: at least 2.5)")
    print(f"  memory share  {our_memory / stock_memory:7.1%}    (goal: at most 5%)")


if __name__ == "__main__":
    main()
