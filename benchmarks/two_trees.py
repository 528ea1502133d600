"""Speed and memory of two checkouts of this project, in one run: version 0.2 and this one.

    python benchmarks/two_trees.py OLD_TREE [--new NEW_TREE] [--rounds 3]

Both trees take turns, each measurement in a process of its own that imports its tree and the
libraries of this environment. Texts are words of MiniLM's vocabulary, drawn by Zipf's law. Seconds
are medians of the rounds, memory is the highest peak of the whole process. Imports and the loading
of the model are not in the seconds; a first call before each measurement warms up.

- encode: texts of 100 to 8,000 tokens, MiniLM with windows.
- index: `longembed index` from files to a store of the tree's default kind, with units and words.
- query: hybrid, five documents with one passage each, on the store that `index` made, and on a
  larger one of random vectors; in all, and without the time in the model.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import minilm, mixed_lengths, peak_bytes, random_texts, seconds

CHARACTERS = 5_000
SPANS = 5
WARM_QUERIES, QUERIES = 5, 30
SETTINGS = {"method": "pcw", "device": "cpu"}
COLLECTION = "documents"
Write = Callable[[Path, list[str]], None]


def english(count: int, characters: int, seed: int) -> Iterator[str]:
    """Yield texts of sentences, from the whole words of MiniLM's vocabulary."""
    vocabulary = json.loads(Path(minilm(), "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 1]
    weights = np.cumsum(1 / np.arange(1, len(words) + 1)).tolist()
    draw = random.Random(seed)
    for _ in range(count):
        sentences: list[str] = []
        while sum(map(len, sentences)) < characters:
            sentence = " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(6, 20)))
            sentences.append(f"{sentence.capitalize()}.")
        yield " ".join(sentences)[:characters]


def encode(count: int) -> dict[str, float]:
    """Measure `encode`."""
    import longembed_st as le

    model = le.load(minilm(), **SETTINGS)
    texts = random_texts(mixed_lengths(count), 1)
    model.encode(texts[:2])
    return {"s": seconds(lambda: model.encode(texts))}


def index(folder: str, count: int) -> dict[str, float]:
    """Measure the ingestion of files."""
    from longembed_st.command.app import run

    documents = Path(folder, "documents")
    documents.mkdir(parents=True)
    for number, text in enumerate(english(count, CHARACTERS, seed=1)):
        (documents / f"{number:04}.txt").write_text(text, "utf-8")
    options = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    options += ["--model", minilm(), "--language", "english"]

    def index_into(store: str, path: Path) -> None:
        if run(["index", str(path), "--store", str(Path(folder, store)), *options]):
            raise SystemExit(1)

    index_into("warm", documents / "0000.txt")
    return {"s": seconds(lambda: index_into("store", documents))}


def fill(folder: str, count: int) -> dict[str, float]:
    """Measure how long a store of texts with random vectors takes to write, words included."""
    vectors = np.random.default_rng(0).standard_normal((count, 1 + SPANS, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    bounds = np.linspace(0, CHARACTERS, SPANS + 1).astype(np.int64)
    ranges = np.stack([bounds[:-1], bounds[1:]], axis=1)
    texts = list(english(count, CHARACTERS, seed=2))
    write = (old_writer if is_old() else new_writer)(vectors, ranges)
    write(Path(folder, "warm"), texts[:1])
    return {"s": seconds(lambda: write(Path(folder, "store"), texts))}


def new_writer(vectors: np.ndarray, ranges: np.ndarray) -> Write:
    """Return what writes texts to a store of this version."""
    from longembed_index.document import Document, Record, Units
    from longembed_index.lexical.index import WordIndex
    from longembed_index.maintain.embedding import batches, storable_model
    from longembed_index.store.kinds import open_store
    from longembed_index.store.protocol import StoreInfo
    from longembed_st.base.coverage import Coverage
    from longembed_st.base.settings import ModelSettings

    model = storable_model(ModelSettings(model_name=minilm(), **SETTINGS))
    counts = np.full(SPANS, 250)
    info = StoreInfo(model.provenance.portable(), units=True, language="english")

    def write(store: Path, texts: list[str]) -> None:
        opened = open_store(store, create=info, write=True)
        for numbers in batches(range(len(texts)), 500):
            opened.write(
                [
                    Record(
                        Document(str(n), texts[n]),
                        vectors[n, 0],
                        str(n),
                        Coverage(1, 1, 1),
                        Units(ranges, counts, vectors[n, 1:]),
                    )
                    for n in numbers
                ]
            )
        WordIndex(store, COLLECTION).update(opened)
        opened.close()

    return write


def old_writer(vectors: np.ndarray, ranges: np.ndarray) -> Write:
    """Return what writes texts to a store of version 0.2."""
    from longembed_index.embedding import batches, storable_model
    from longembed_index.hybrid import catch_up
    from longembed_index.opening import open_store
    from longembed_index.records import Record
    from longembed_index.spans import DocumentSpans, SpanFile
    from longembed_st.settings import ModelSettings

    from longembed_index.lexical import WordFile

    model = storable_model(ModelSettings(model_name=minilm(), **SETTINGS))
    fingerprint = str(model.provenance.fingerprint)
    counts = {"tokens": 1, "read": 1, "windows": 1}

    def write(store: Path, texts: list[str]) -> None:
        with open_store(store, model, write=True) as opened:
            spans = SpanFile(store, COLLECTION)
            for numbers in batches(range(len(texts)), 500):
                ids = {n: f"{n:032x}" for n in numbers}
                spans.put(
                    fingerprint,
                    [DocumentSpans(ids[n], ranges, vectors[n, 0], vectors[n, 1:]) for n in numbers],
                )
                names = {
                    n: {"source": str(n), "title": str(n), "content_hash": ids[n]} for n in ids
                }
                opened.write(
                    [Record(ids[n], texts[n], vectors[n, 0], names[n] | counts) for n in numbers]
                )
            catch_up(opened, WordFile(store, COLLECTION), "english")

    return write


def query(folder: str) -> dict[str, float]:
    """Measure warm hybrid queries on a store."""
    store = Path(folder, "store")
    search: Callable[..., Any]
    if is_old():
        from longembed_index.finding import Finder

        finder = Finder(store)
        model, search = finder.loaded.model, finder.find
    else:
        from longembed_index.index import Index

        opened = Index.open(store)
        model, search = opened.model.model, opened.search
    in_model = [0.0]
    old, new = ("encode_with_coverage", "encode_ranges"), ("encode_query_twice", "encode_units")
    for name in old if is_old() else new:
        setattr(model, name, add_up(getattr(model, name), in_model))
    totals, without_model = [], []
    for text in english(WARM_QUERIES + QUERIES, 60, seed=3):
        in_model[0] = 0.0
        total = seconds(lambda text=text: search(text, 5, passages=1, mode="hybrid"))
        totals.append(1000 * total)
        without_model.append(1000 * (total - in_model[0]))
    return {
        "ms": statistics.median(totals[WARM_QUERIES:]),
        "ms without the model": statistics.median(without_model[WARM_QUERIES:]),
    }


def add_up(function: Callable[..., Any], total: list[float]) -> Callable[..., Any]:
    """Return a function whose seconds are added to a total."""

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            total[0] += time.perf_counter() - began

    return call


def is_old() -> bool:
    """Return whether the imported tree is that of version 0.2."""
    return importlib.util.find_spec("longembed_index.finding") is not None


def environment(tree: Path, folder: Path) -> dict[str, str]:
    """Return the environment in which a tree is imported, with its own entry points."""
    try:
        import tomllib
    except ImportError:
        import tomli as tomllib
    project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
    # Python takes the first of two distributions of one name, so the installed one is hidden.
    metadata = folder / "longembed_st-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: longembed-st\nVersion: 0\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    places = [folder, tree, tree / "plugins", tree / "integrations"]
    # Each tree makes its own cached files of the model.
    own = {"LONGEMBED_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    return os.environ | own | {"PYTHONPATH": os.pathsep.join(map(str, places))}


JOBS = {"encode": encode, "index": index, "fill": fill, "query": query}


def measure(environ: dict[str, str], job: str, *arguments: str | int) -> dict[str, float]:
    """Do a job in a new process, and return its numbers."""
    with tempfile.NamedTemporaryFile("r") as result:
        line = [sys.executable, __file__, "--job", json.dumps([result.name, job, *arguments])]
        process = subprocess.run(line, env=environ, capture_output=True, text=True, check=False)
        if process.returncode:
            raise SystemExit(f"{job} failed in {environ['PYTHONPATH']}:\n{process.stderr[-3000:]}")
        return json.loads(result.read())


def do_job(result: str, job: str, *arguments: str | int) -> None:
    """Do a job in this process, and write its numbers to a file."""
    import longembed_st

    tree = Path(os.environ["PYTHONPATH"].split(os.pathsep)[1])
    if not Path(longembed_st.__file__).is_relative_to(tree):
        raise SystemExit(f"{longembed_st.__file__} was imported instead of {tree}")
    numbers = JOBS[job](*arguments)
    Path(result).write_text(json.dumps(numbers | {"MB, peak": peak_bytes() / 1e6}))


def show(rows: dict[str, dict[str, list[float]]]) -> None:
    """Print the table: memory by its highest peak, all else by the median."""
    print(f"\n| {'measured':52} | {'old':>9} | {'new':>9} | new / old |\n|---|---|---|---|")
    for name, sides in rows.items():
        summary = max if "peak" in name else statistics.median
        old, new = (summary(sides[side]) for side in ("old", "new"))
        print(f"| {name:52} | {old:9.2f} | {new:9.2f} | {new / old:9.2f} |")


def main() -> None:
    """Measure both trees in turn."""
    if sys.argv[1:2] == ["--job"]:
        do_job(*json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("--new", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--texts", type=int, default=100, help="texts for encode")
    parser.add_argument("--documents", type=int, default=60, help="files for index")
    parser.add_argument("--many", type=int, default=2_000, help="documents with random vectors")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    few, many = f"{arguments.documents} documents", f"{arguments.many:,} documents"
    jobs: list[tuple[str, str, str, list[int]]] = [
        (f"encode, {arguments.texts} texts", "encode", "", [arguments.texts]),
        (f"index, {few}", "index", "few", [arguments.documents]),
        (f"query, {few}", "query", "few", []),
        (f"write, {many}", "fill", "many", [arguments.many]),
        (f"query, {many}", "query", "many", []),
    ]
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        trees = {"old": arguments.old.resolve(), "new": arguments.new.resolve()}
        environs = {side: environment(tree, Path(folder, side)) for side, tree in trees.items()}
        for number in range(arguments.rounds):
            for label, job, size, counts in jobs:
                # Who is first changes, as a processor may slow down when it is hot.
                for side in sorted(trees, reverse=number % 2 == 0):
                    place = [str(Path(folder, f"{size}-{side}-{number}"))] if size else []
                    numbers = measure(environs[side], job, *place, *counts)
                    print(f"round {number + 1}, {side}, {label}: {numbers}", flush=True)
                    for unit, value in numbers.items():
                        sides = rows.setdefault(f"{label}, {unit}", {"old": [], "new": []})
                        sides[side].append(value)
    show(rows)


if __name__ == "__main__":
    main()
