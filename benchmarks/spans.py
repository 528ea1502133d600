"""What spans cost beside one vector a document: time, memory and bytes, both ways in one run.

    python benchmarks/spans.py books.jsonl.gz [MODEL]

The file has one long document a line, in the column `text`; the first `--documents` are read, of
each the first `--characters`. Without a model, MiniLM from PyPI.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import islice
from pathlib import Path

import psutil
from measure import bytes_of, interleaved, minilm

import longembed_st as le
from longembed_index.document import Document
from longembed_index.documents.folder import jsonl_rows
from longembed_index.index import Index

ROUNDS = 3


def index_bytes(model: str, texts: list[str], *, spans: bool) -> int:
    """Return the bytes of an index of texts."""
    with tempfile.TemporaryDirectory() as folder:
        with Index.open(folder, model, method="pcw", spans=spans) as index:
            index.add_documents([Document(str(n), text) for n, text in enumerate(texts)])
        return bytes_of(Path(folder))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--characters", type=int, default=150_000)
    arguments = parser.parse_args()
    rows = islice(jsonl_rows(arguments.books), arguments.documents)
    texts = [row["text"][: arguments.characters] for _, row in rows]
    model = le.load(arguments.model, "pcw")
    sides = {
        "encode": lambda: model.encode_with_coverage(texts, role="document"),
        "encode_spans": lambda: model.encode_spans(texts),
        "of 128 tokens": lambda: model.encode_spans(texts, span_tokens=128),
    }
    sides["encode"]()
    medians = interleaved(ROUNDS, *sides.values())
    for label, median in zip(sides, medians, strict=True):
        print(f"{label:16}{median:7.1f} s   {median / medians[0]:.3f} times")
    print(f"resident memory {psutil.Process().memory_info().rss / 1e6:,.0f} MB")
    plain, spanned = (index_bytes(arguments.model, texts, spans=spans) for spans in (False, True))
    print(f"index {plain / 1e6:.2f} MB, with spans {spanned / 1e6:.2f}: {spanned / plain - 1:+.0%}")


if __name__ == "__main__":
    main()
