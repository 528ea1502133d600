"""What millions of long documents take: measured here on a few, and multiplied.

    python benchmarks/plan.py MODEL BOOKS.jsonl.gz [--documents 10000000] [--tokens 13000]

Three ways are read in turn: one vector a document, one with units beside it, and what people do
today: each of the model's windows as a text of its own, in stock sentence-transformers. Bytes are
those of Parquet with zstd. Hours are for cores like these, all of them at work all the time; that
twice the cores halve them is assumed, not measured.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from measure import timed
from pyarrow import parquet
from sentence_transformers import SentenceTransformer

from longembed_ray import EmbedDocuments
from longembed_st.base.settings import ModelSettings

CORES_OF_A_MACHINE = 64


def slices(books: Path, count: int, characters: int) -> list[str]:
    """Return parts of books, at equal distances."""
    with gzip.open(books, "rt") as lines:
        whole = "\n".join(json.loads(line)["text"] for line in lines)
    step = max(1, (len(whole) - characters) // count)
    return [whole[n * step : n * step + characters] for n in range(count)]


def bytes_of(table: pa.Table) -> int:
    """Return the bytes of a table as a Parquet file."""
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.tell()


def chunked(model: SentenceTransformer, texts: list[str], window: int) -> pa.Table:
    """Return each window as a text, with its vector."""
    rows = []
    for text in texts:
        encoding = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        starts = [start for start, _ in encoding["offset_mapping"]][:: window - 2]
        ends = [*starts[1:], len(text)]
        parts = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        rows += list(zip(parts, model.encode(parts), strict=True))
    width = len(rows[0][1])
    vectors = np.stack([vector for _, vector in rows]).astype(np.float32).reshape(-1)
    column = pa.FixedSizeListArray.from_arrays(vectors, width)
    return pa.table({"text": [part for part, _ in rows], "vector": column})


def main() -> None:
    """Measure, and multiply."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--tokens", type=int, default=13_000)
    parser.add_argument("--sample", type=int, default=12)
    arguments = parser.parse_args()
    settings = ModelSettings(model_name=arguments.model, method="pcw")
    alone, spanned = EmbedDocuments(settings), EmbedDocuments(settings, units=True)
    probe = slices(arguments.books, 4, 20_000)
    per_token = 20_000 * 4 / sum(alone(pa.table({"text": probe}))["tokens"].to_pylist())
    texts = slices(arguments.books, arguments.sample, int(arguments.tokens * per_token))
    rows = pa.table({"text": texts})
    tokens = sum(alone(rows)["tokens"].to_pylist())
    stock = SentenceTransformer(arguments.model, device="cpu")
    window = int(stock.max_seq_length or 512)
    ways = {
        "one vector": lambda: alone(rows),
        "with units": lambda: spanned(rows),
        "chunks": lambda: chunked(stock, texts, window),
    }
    cores = torch.get_num_threads()
    print(f"{arguments.sample} documents of {tokens / arguments.sample:,.0f} tokens, {cores} cores")
    print(f"text alone: {bytes_of(rows) / arguments.sample / 1e3:.1f} kB a document")
    for name, work in ways.items():
        seconds, table = timed(work)
        size = bytes_of(table) / arguments.sample
        core_hours = seconds * cores / arguments.sample * arguments.documents / 3600
        print(
            f"{name}: {tokens / seconds / cores:,.0f} tokens a second and core, "
            f"{size / 1e3:.1f} kB a document; "
            f"{arguments.documents:,}: {core_hours:,.0f} core hours, "
            f"{core_hours / CORES_OF_A_MACHINE / 24:,.0f} days of a machine of "
            f"{CORES_OF_A_MACHINE} cores, {size * arguments.documents / 1e12:.2f} TB"
        )


if __name__ == "__main__":
    main()
