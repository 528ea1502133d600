"""Memory of an ingestion of 10,000 documents of 8 kB into a new index, while it grows.

MiniLM reads 32 tokens of each, so that reading, writing and bookkeeping weigh most; what is held on
to would show as 8 MB for every 1,000 documents.

    python benchmarks/ingestion.py [--documents 10000]
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from measure import SHORT_WORDS, minilm

from longembed_index.document import Document
from longembed_index.index import Index
from longembed_index.maintain.report import Outcome

CHARACTERS = 8000


def documents(count: int) -> Iterator[Document]:
    """Yield documents, which are made one at a time."""
    draw = random.Random(0)
    for number in range(count):
        words = " ".join(draw.choices(SHORT_WORDS, k=CHARACTERS // 3))
        yield Document(f"document {number}", f"{number} {words[:CHARACTERS]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    count = parser.parse_args().documents
    step = max(1, count // 10)
    memory: list[tuple[int, float]] = []
    done = 0

    def sample(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if done % step == 0:
            memory.append((done, psutil.Process().memory_info().rss / 1e6))
            print(f"  {done:6,} documents  {memory[-1][1]:6.0f} MB", flush=True)

    settings = {"method": "none", "original_max_seq_length": 32}
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.open(Path(folder), minilm(), **settings) as index,
    ):
        report = index.add_documents(documents(count), on_outcome=sample)
        assert len(index) == count
    # The first fifth also loads and warms up.
    (first, before), (last, after) = memory[min(1, len(memory) - 2)], memory[-1]
    growth = 1e3 * (after - before) / (last - first)
    print(f"{count:,} documents of {CHARACTERS:,} characters in {report.seconds:.0f} s")
    print(f"  growth from {first:,} on: {growth:.1f} kB a document; its vector alone has 1.5 kB")


if __name__ == "__main__":
    main()
