"""Words of many documents: time to build, bytes, and the time of phrases and of queries.

    python benchmarks/phrases.py books.jsonl.gz [--documents 20000] [--words 300]

Documents are parts of the books. Phrases and queries are drawn from them. Seconds are those of the
processor, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from samples import read_texts, word_index

QUERIES = 50
FREQUENT = ("of the", "it was the", "in the house of the", "to be or not to be", "said the old man")


def milliseconds(work: Callable[[str], object], queries: Sequence[str]) -> str:
    """Return the median and the highest time of some work."""
    seconds = []
    for query in [*queries[:5], *queries]:
        began = time.process_time()
        work(query)
        seconds.append(time.process_time() - began)
    return f"{1000 * np.median(seconds[5:]):.1f} ms, slowest {1000 * max(seconds[5:]):.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=300)
    options = parser.parse_args()
    words = [word for text in read_texts(options.books) for word in text.split()]
    texts = {
        f"{n:06}": " ".join(words[start : start + options.words])
        for n, start in enumerate(range(0, len(words), options.words))
        if n < options.documents
    }
    size = sum(len(text.encode()) for text in texts.values())
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        index = word_index(folder, texts)
        stored = index.path.stat().st_size
        print(
            f"{len(texts)} documents, {size / 1e6:.0f} MB: built in "
            f"{time.process_time() - began:.1f} s, {stored / size:.0%} of the texts"
        )
        draw = random.Random(1)
        drawn = [
            " ".join(text.split()[100:104]) for text in draw.sample(list(texts.values()), QUERIES)
        ]
        for name, phrases in (("drawn", drawn), *((phrase, [phrase] * 5) for phrase in FREQUENT)):
            print(f"phrase {name}: {milliseconds(index.find_phrase, phrases)}")
        queries = [
            " ".join(text.split()[50:58]) for text in draw.sample(list(texts.values()), QUERIES)
        ]
        print(f"candidates: {milliseconds(lambda q: index.query(q).candidates(100), queries)}")
        some = draw.sample(sorted(texts), min(100, len(texts)))
        print(f"scores of 100: {milliseconds(lambda q: index.query(q).scores(some), queries)}")
        if hasattr(index.query(""), "places"):
            print(f"places in 100: {milliseconds(lambda q: index.query(q).places(some), queries)}")


if __name__ == "__main__":
    main()
