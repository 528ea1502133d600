"""What a copy of the vectors costs a store, by where it is kept: size on disk and time to write.

Chroma keeps vectors in files that a kill or a disk can spoil, and nowhere else. Each way to keep
them twice is written in one run, in turn, and deleted afterwards.

python benchmarks/vector_copies.py [--records 10000] [--characters 5000] [--batch 16]
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np

DIMENSIONS = 384
WAYS = ("none", "our own file", "in the metadata", "Chroma's log, never purged")


def batches(records: int, characters: int, size: int) -> Iterator[dict[str, Any]]:
    """Records of random words and vectors, the same at every call."""
    draw, normal = random.Random(0), np.random.default_rng(0)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(2, 9))) for _ in range(5000)]
    for start in range(0, records, size):
        numbers = range(start, min(start + size, records))
        yield {
            "ids": [f"{number:032x}" for number in numbers],
            "documents": [" ".join(draw.choices(words, k=characters // 6)) for _ in numbers],
            "embeddings": normal.normal(size=(len(numbers), DIMENSIONS)).astype(np.float32),
            "metadatas": [{"source": f"/documents/{number}.txt"} for number in numbers],
        }


def write(directory: Path, way: str, made: Iterator[dict[str, Any]]) -> float:
    """Write all batches; seconds, without the making of the records."""
    client = chromadb.PersistentClient(str(directory))
    if way == "Chroma's log, never purged":
        kept = {"automatically_purge": False, "_type": "EmbeddingsQueueConfigurationInternal"}
        with sqlite3.connect(directory / "chroma.sqlite3") as database:
            database.execute(
                "UPDATE embeddings_queue_config SET config_json_str = ?", (json.dumps(kept),)
            )
    beside = sqlite3.connect(directory / "longembed.sqlite3") if way == "our own file" else None
    if beside:
        beside.execute("CREATE TABLE vectors (id TEXT PRIMARY KEY, vector BLOB)")
    configuration: Any = {"hnsw": {"space": "cosine"}}
    collection = client.create_collection(
        "documents", embedding_function=None, configuration=configuration
    )
    seconds = 0.0
    for batch in made:
        began = time.perf_counter()
        if beside:
            rows = zip(batch["ids"], map(bytes, batch["embeddings"]), strict=True)
            with beside:
                beside.executemany("INSERT INTO vectors VALUES (?, ?)", rows)
        if way == "in the metadata":
            for data, vector in zip(batch["metadatas"], batch["embeddings"], strict=True):
                data["vector"] = base64.b64encode(bytes(vector)).decode()
        collection.upsert(**{**batch, "embeddings": list(batch["embeddings"])})
        seconds += time.perf_counter() - began
    client.close()
    if beside:
        beside.close()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--characters", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    for way in WAYS:
        with tempfile.TemporaryDirectory() as directory:
            seconds = write(
                Path(directory), way, batches(given.records, given.characters, given.batch)
            )
            size = sum(file.stat().st_size for file in Path(directory).rglob("*") if file.is_file())
            print(f"{way:28} {size / 1e6:8.1f} MB {seconds:7.1f} s", flush=True)


if __name__ == "__main__":
    main()
