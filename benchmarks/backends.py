"""What computes a pass: torch and OpenVINO, side by side in one run, both warm.

    python benchmarks/backends.py [MODEL] [--parts speed,memory,cosine,index] [--runs 3]

`--parts mixed` measures only the texts of mixed lengths, which are also a part of `speed`. For
`index`, --books FOLDER holds text files. Stock sentence-transformers encodes the same windows as
separate texts.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from measure import (
    extra_peak_megabytes,
    interleaved,
    minilm,
    mixed_lengths,
    random_texts,
    whole_peak_megabytes,
)
from sentence_transformers import SentenceTransformer

import longembed_st as le
from longembed_st.backends import tuner

SIDES = {
    "torch float32": {"backend": "torch", "dtype": "float32"},
    "torch bfloat16": {"backend": "torch", "dtype": "bfloat16"},
    "openvino float32": {"backend": "openvino", "dtype": "float32"},
    "openvino bfloat16": {"backend": "openvino", "dtype": "bfloat16"},
}


def load(name: str, side: str, method: str = "pcw", reach: int | None = None):
    """Return the extended model of one side."""
    reach_setting = {} if reach is None else {"max_seq_length": reach}
    return le.load(name, method, device="cpu", **SIDES[side], **reach_setting)


def race(title: str, models: dict, texts: list[str], runs: int, stock=None) -> None:
    """Print the medians of all sides, and how busy each kept the cores."""
    windows: list[str] = []
    if stock is not None:
        for text, coverage in zip(texts, le.coverage(models["torch float32"], texts), strict=True):
            windows += [text[start:end] for start, end in coverage.spans]
    sides: dict[str, Callable[[], object]] = {
        name: lambda model=model: model.encode(texts) for name, model in models.items()
    }
    if stock is not None:
        sides["stock, the same windows"] = lambda: stock.encode(windows)
    for run in sides.values():
        run()
    medians = dict(zip(sides, interleaved(runs, *sides.values()), strict=True))
    print(title)
    for name, seconds in medians.items():
        busy = cores_busy(sides[name])
        ratio = medians["torch float32"] / seconds
        print(f"  {name:24} {seconds:8.2f} s   {ratio:5.2f} x   cores busy {busy:4.0%}", flush=True)


def cores_busy(run: Callable[[], object]) -> float:
    """Return the share of all cores' time that a job of this process uses."""
    process, begin = psutil.Process(), time.perf_counter()
    before = sum(process.cpu_times()[:2])
    run()
    used = sum(process.cpu_times()[:2]) - before
    return used / (time.perf_counter() - begin) / len(os.sched_getaffinity(0))


def tuned(name: str) -> dict:
    """Return the models of all sides, with the engine settings that are best here."""
    models = {side: load(name, side) for side in SIDES}
    for side, model in models.items():
        chosen = tuner.best_of(tuner.tune(model.long_transformer))
        print(f"{side}: {chosen.streams} streams, batches of {chosen.batch_tokens} tokens")
    return models


def mixed(models: dict, runs: int, count: int) -> None:
    """Measure texts of mixed lengths."""
    texts = random_texts(mixed_lengths(count), 1)
    race(f"pcw, {count} texts of 100 to 8,000 tokens", models, texts, runs)


def speed(name: str, runs: int, count: int) -> None:
    """Measure long texts, mixed ones, short ones, single queries and single long passes."""
    models = tuned(name)
    stock = SentenceTransformer(name, device="cpu", model_kwargs={"dtype": "float32"})
    race("pcw, one text of 32,768 tokens", models, random_texts([32768], 0), runs, stock)
    mixed(models, runs, count)
    short = random_texts([random.Random(n).randint(5, 64) for n in range(1000)], 2)
    race("1,000 texts of 5 to 64 tokens", models, short, runs, stock)
    race("one query of 10 tokens", models, random_texts([10], 3), 30 * runs, stock)
    del models
    models = {side: load(name, side, "pi", 8192) for side in SIDES}
    for n in (4096, 8192):
        race(f"pi, one pass of {n:,} tokens", models, random_texts([n], 4), runs)


def prepared(name: str, side: str, method: str, n: int):
    """Return a job for a process of its own."""
    model = load(name, side, method, n if method == "pi" else None)
    model.encode(["warm"])
    (text,) = random_texts([n], 5)
    return lambda: model.encode(text)


def memory(name: str) -> None:
    """Measure peak memory beyond the loaded model, in fresh processes."""
    for method, n in (("pcw", 32768), ("pi", 4096), ("pi", 8192)):
        print(f"{method}, {n:,} tokens: peak memory beyond the loaded model, and in all")
        for side in SIDES:
            extra = extra_peak_megabytes(prepared, name, side, method, n)
            whole = whole_peak_megabytes(prepared, name, side, method, n)
            print(f"  {side:24} {extra:8.0f} MB {whole:8.0f} MB", flush=True)


def cosine(name: str, count: int) -> None:
    """Measure the worst agreement with torch over mixed texts."""
    texts = random_texts(mixed_lengths(count, 10, 2000), 6)
    vectors = {side: load(name, side).encode(texts) for side in SIDES}
    base = vectors.pop("torch float32")
    print(f"worst cosine with torch float32, {count:,} texts of 10 to 2,000 tokens")
    for side, other in vectors.items():
        norms = np.linalg.norm(other, axis=1) * np.linalg.norm(base, axis=1)
        worst = 1 - float(((other * base).sum(1) / norms).min())
        most = float(np.abs(other - base).max())
        print(f"  {side:24} 1 - {worst:.1e}   largest difference {most:.1e}", flush=True)


def index(name: str, books: Path) -> None:
    """`longembed index`, from files to a store, in fresh processes."""
    print(f"longembed index of {len(list(books.iterdir()))} books")
    base = 0.0
    for side, settings in SIDES.items():
        with tempfile.TemporaryDirectory() as store:
            options = [word for key, value in settings.items() for word in (f"--{key}", value)]
            line = ["longembed", "index", str(books), "--store", f"{store}/s", "--model", name]
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "longembed_st", *line[1:], *options],
                check=True,
                capture_output=True,
            )
            seconds = time.perf_counter() - begin
        base = base or seconds
        print(f"  {side:24} {seconds:8.1f} s   {base / seconds:5.2f} x", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default=minilm())
    parser.add_argument("--parts", default="speed,memory,cosine")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--texts", type=int, default=100, help="mixed texts for speed")
    parser.add_argument("--cosines", type=int, default=1000, help="mixed texts for cosine")
    parser.add_argument("--books", type=Path)
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if "speed" in parts:
        speed(arguments.model, arguments.runs, arguments.texts)
    elif "mixed" in parts:
        mixed(tuned(arguments.model), arguments.runs, arguments.texts)
    if "memory" in parts:
        memory(arguments.model)
    if "cosine" in parts:
        cosine(arguments.model, arguments.cosines)
    if "index" in parts:
        index(arguments.model, arguments.books)


if __name__ == "__main__":
    main()
