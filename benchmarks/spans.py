"""What spans cost beside one vector a document: time, memory and bytes, both ways in one run.

    python benchmarks/spans.py books.jsonl.gz [MODEL]

The file has one long document a line, in the column `text`; the first `--documents` are read, of
each the first `--characters`. Without a model, MiniLM from PyPI.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import psutil
from longembed_index.embedding import storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import COLLECTION, open_store
from longembed_index.sources import TextSource
from longembed_index.spans import FILE, SpanEmbedder, SpanFile, SpannedStore
from measure import minilm

from longembed_index.documents import jsonl_rows
from longembed_st.base.settings import ModelSettings

ROUNDS = 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("model", nargs="?", default=None)
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--characters", type=int, default=150_000)
    given = parser.parse_args()
    name = given.model or str(minilm())
    settings = ModelSettings(model_name=name, method="pcw")
    loaded = storable_model(settings)
    model = loaded.model
    rows = [row["text"][: given.characters] for _, row in jsonl_rows(given.books)]
    texts = rows[: given.documents]

    def encode() -> None:
        model.encode_with_coverage(texts, role="document")

    def encode_spans() -> None:
        model.encode_spans(texts)

    def encode_short_spans() -> None:
        model.encode_spans(texts, span_tokens=128)

    ways = {"encode": encode, "encode_spans": encode_spans, "of 128 tokens": encode_short_spans}
    seconds: dict[str, list[float]] = {label: [] for label in ways}
    process = psutil.Process()
    encode()
    for _ in range(ROUNDS):
        for label, way in ways.items():
            begin = time.perf_counter()
            way()
            seconds[label].append(time.perf_counter() - begin)
    base = statistics.median(seconds["encode"])
    for label, found in seconds.items():
        median = statistics.median(found)
        print(f"{label:16}{median:7.1f} s   {median / base:.3f} times")
    print(f"resident memory {process.memory_info().rss / 1e6:,.0f} MB")

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with open_store(place, loaded, write=True) as store:
            embedder = SpanEmbedder(model.encode_spans)
            spanned = SpannedStore(store, SpanFile(place, COLLECTION), embedder)
            sources = [TextSource(f"d{n}", text) for n, text in enumerate(texts)]
            ingest(sources, spanned, embedder)
        sizes = {file.name: file.stat().st_size for file in place.rglob("*") if file.is_file()}
        spans = sizes.pop(FILE)
        total = sum(sizes.values())
        print(f"store {total / 1e6:.2f} MB, spans {spans / 1e6:.2f} MB: {spans / total:.2f} of it")


if __name__ == "__main__":
    main()
