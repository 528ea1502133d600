"""The server under load: throughput beside offline `encode`, and whether every vector is right.

    python benchmarks/serving.py [MODEL] [--clients 64] [--requests 2000]

Each request is one text of 100 to 8,000 tokens; the server runs in a process of its own. Half of
the texts are encoded offline before the load and half after it, as the machine's speed changes.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
from measure import minilm, mixed_lengths, random_texts, timed

import longembed_st as le


def start_server(store: Path) -> tuple[subprocess.Popen, str]:
    """Start the server of a store; return it with its address."""
    command = [sys.executable, "-m", "longembed_st", "serve", "--store", str(store), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "Open http" in line:
            return process, line.split()[-1]
    raise RuntimeError("the server did not start")


async def load(address: str, texts: list[str], clients: int) -> tuple[float, list, list[float]]:
    """Send texts by so many clients; return seconds, vectors, and the seconds of each request."""
    vectors: list = [None] * len(texts)
    waits = [0.0] * len(texts)
    queue = iter(range(len(texts)))

    async def client() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=None) as session:
            for index in queue:
                begin = time.perf_counter()
                body = {"input": texts[index]}
                answer = await session.post("/v1/embeddings", json=body)
                answer.raise_for_status()
                vectors[index] = answer.json()["data"][0]["embedding"]
                waits[index] = time.perf_counter() - begin

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return time.perf_counter() - begin, vectors, waits


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    texts = random_texts(mixed_lengths(arguments.requests), 7)
    model = le.load(arguments.model, "pcw", device="cpu")
    with tempfile.TemporaryDirectory() as place:
        document, store = Path(place, "one.txt"), Path(place, "store")
        document.write_text("The committee met.")
        command = ["index", str(document), "--store", str(store), "--model", arguments.model]
        run = [sys.executable, "-m", "longembed_st", *command, "--method", "pcw"]
        subprocess.run(run, check=True, capture_output=True)
        process, address = start_server(store)
        try:
            asyncio.run(load(address, texts[:20], 4))
            half = arguments.requests // 2
            before, first = timed(lambda: model.encode(texts[:half]))
            seconds, vectors, waits = asyncio.run(load(address, texts, arguments.clients))
            after, second = timed(lambda: model.encode(texts[half:]))
        finally:
            process.terminate()
            process.wait()
    alone, offline = before + after, np.concatenate([first, second])
    served = np.array(vectors)
    norms = np.linalg.norm(served, axis=1) * np.linalg.norm(offline, axis=1)
    worst = float(((served * offline).sum(1) / norms).min())
    print(f"{arguments.requests:,} requests by {arguments.clients} clients: {seconds:.1f} s")
    print(f"offline encode of the same texts: {before:.1f} + {after:.1f} s")
    print(f"throughput of the server {alone / seconds:.2f} of offline")
    print(f"worst cosine with offline 1 - {1 - worst:.1e}; all answered, in order")
    median, most = np.quantile(waits, [0.5, 0.99])
    print(f"a request took {median:.1f} s (median), {most:.1f} s (99%)")


if __name__ == "__main__":
    main()
