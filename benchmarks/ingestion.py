"""Memory of an ingestion of 10,000 documents of 8 kB into a Chroma store, while it grows.

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
from longembed_index.embedding import document_embedder, storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store
from longembed_index.reports import Outcome
from longembed_index.sources import TextSource
from measure import SHORT_WORDS, minilm

from longembed_st import ModelSettings

CHARACTERS = 8000


def documents(count: int) -> Iterator[TextSource]:
    """Texts that are made one at a time."""
    draw = random.Random(0)
    for number in range(count):
        words = " ".join(draw.choices(SHORT_WORDS, k=CHARACTERS // 3))
        yield TextSource(f"document {number}", f"{number} {words[:CHARACTERS]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    count = parser.parse_args().documents
    model = storable_model(
        ModelSettings(model_name=minilm(), method="none", original_max_seq_length=32)
    )
    done = 0
    memory: dict[int, float] = {}

    def sample(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if done % 1000 == 0:
            memory[done] = psutil.Process().memory_info().rss / 1e6
            print(f"  {done:6,} documents  {memory[done]:6.0f} MB", flush=True)

    with (
        tempfile.TemporaryDirectory() as folder,
        open_store(Path(folder), model, write=True) as store,
    ):
        report = ingest(documents(count), store, document_embedder(model), on_outcome=sample)
        assert len(store) == count
    first, last = min(memory, key=lambda n: abs(n - 2000)), max(memory)
    growth = (memory[last] - memory[first]) / (last - first) * 1e3
    print(f"{count:,} documents of {CHARACTERS:,} characters in {report.seconds:.0f} s")
    print(f"  growth from {first:,} on: {growth:.1f} kB a document; its vector alone has 1.5 kB")


if __name__ == "__main__":
    main()
