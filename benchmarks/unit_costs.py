"""What sentence units cost: processor time of indexing and bytes of the store, with and without.

One process indexes the same documents again and again, into a new store each time, with units and
without them in turn. Loading the model and the first run of each kind do not count.

    python benchmarks/unit_costs.py MODEL corpus.jsonl.gz [--documents 5] [--pairs 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from samples import read_texts

from longembed_index.document import Document
from longembed_index.index import Index


def cost(model: str, documents: list[Document], units: bool, backend: str) -> tuple[float, int]:
    """Return the seconds of processor time and the bytes that a new store of documents takes."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        with Index.open(store, model=model, units=units, backend=backend) as index:
            _ = index.model
            begin = time.process_time()
            index.add_documents(documents)
            seconds = time.process_time() - begin
        return seconds, sum(file.stat().st_size for file in store.iterdir())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--documents", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--backend", default="torch")
    arguments = parser.parse_args()
    texts = sorted(read_texts(arguments.corpus), key=len)[: arguments.documents]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    print(f"{len(texts)} documents, {sum(map(len, texts)):,} characters")
    rows = []
    for pair in range(arguments.pairs + 1):
        order = (True, False) if pair % 2 else (False, True)
        costs = {
            units: cost(arguments.model, documents, units, arguments.backend) for units in order
        }
        (with_units, large), (without, small) = costs[True], costs[False]
        if pair:
            rows.append(with_units / without)
            print(f"with {with_units:.2f} s, without {without:.2f} s: {rows[-1]:.3f} times")
    print(f"median {np.median(rows):.3f}, bytes {large:,} and {small:,}: {large / small:.2f} times")


if __name__ == "__main__":
    main()
