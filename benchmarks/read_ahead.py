"""How long indexing takes if files are read ahead, and one after the other, in turns.

    python benchmarks/read_ahead.py reports/pdf [--files 5] [--speed 33000]

The smallest files of a folder are parsed as ever; instead of a model, something waits that takes so
many characters a second: 33,000 are 7,500 tokens of English, MiniLM's on two idle cores. Both ways
must store the same.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from measure import timed
from samples import INFO

from longembed_index.documents.files import find_files
from longembed_index.documents.parsing import Parser
from longembed_index.maintain.embedding import Embedded
from longembed_index.maintain.ingest import ingest
from longembed_index.store.memory import MemoryStore
from longembed_st.base.coverage import Coverage

RUNS = 2


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--files", type=int, default=5)
    arguments.add_argument("--speed", type=float, default=33_000)
    options = arguments.parse_args()
    parser = Parser()
    found = find_files([options.folder], parser=parser).files
    files = sorted(found, key=lambda file: file.size)[: options.files]
    # The process that parses is started before.
    files[0].read(files[0].content())

    def embed(texts: list[str]) -> list[Embedded]:
        time.sleep(sum(map(len, texts)) / options.speed)
        vector = np.full(4, 0.5, dtype=np.float32)
        return [Embedded(vector, Coverage(1, 1, 1)) for _ in texts]

    stored = []
    for _ in range(RUNS):
        for name, sources in {"one after the other": iter(files), "read ahead": files}.items():
            store = MemoryStore(INFO)
            seconds, _ = timed(lambda sources=sources, store=store: ingest(sources, store, embed))
            stored.append([(entry.id, entry.characters) for entry in store.entries()])
            characters = sum(number for _, number in stored[-1])
            print(f"{name:20} {len(files)} files, {characters:,} characters: {seconds:.1f} s")
    assert all(each == stored[0] for each in stored)


if __name__ == "__main__":
    main()
