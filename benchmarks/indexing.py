"""Where the time of `longembed index` goes: reading, tokenizing, the model, pooling, and writing.

    OMP_NUM_THREADS=1 python benchmarks/indexing.py FOLDER [--files 20] [--store FOLDER]

Files of a folder are indexed with MiniLM from PyPI. Each stage is a function of ours that is timed
from outside, without the stages inside it. Seconds are of the processor, so that other programs do
not matter; with one thread for the model, as other threads are not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import psutil
from measure import minilm

from longembed_index.documents.files import find_files
from longembed_index.documents.parsing import Parser
from longembed_index.index import Index
from longembed_index.lexical import analyzer, file
from longembed_index.maintain import embedding, ingest, read_ahead
from longembed_index.resources import Resources
from longembed_index.store import sqlite, sqlite_rows

_running = threading.local()
seconds: defaultdict[str, float] = defaultdict(float)


def main() -> None:
    """Index, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int)
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    # Otherwise the tokenizer works in threads of its own.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "store"
        found = find_files([arguments.folder], parser=Parser()).files
        files = sorted(found, key=lambda file: file.size)[: arguments.files]
        with Index.open(store, minilm()) as index:
            time_stages()
            began, wall = time.process_time(), time.perf_counter()
            index.add(*(file.id for file in files))
            own, wall = time.process_time() - began, time.perf_counter() - wall
            characters = sum(entry.characters for entry in index.documents())
    parsers = [child.cpu_times() for child in psutil.Process().children()]
    seconds["everything else"] = own - sum(seconds.values())
    seconds["parsing, in a process of its own"] = sum(each.user + each.system for each in parsers)
    print(f"{len(files)} files, {characters:,} characters, {wall:.1f} s on the clock")
    for name, taken in sorted(seconds.items(), key=lambda pair: -pair[1]):
        print(f"{name:45} {taken:8.2f} s {100 * taken / sum(seconds.values()):5.1f} %")


def time_stages() -> None:
    """Replace functions by themselves with a clock."""
    from longembed_st.base.computing import ComputingTransformer
    from longembed_st.base.tokenizing import TokenizingTransformer
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

    for owner, name, stage in (
        (read_ahead.SourceReader, "_reading", "reading files"),
        (embedding, "sentence_units", "cutting texts into sentences"),
        (TokenizingTransformer, "tokenize_texts", "tokenizing"),
        (ComputingTransformer, "_compute", "the model"),
        (LongSentenceTransformer, "encode_units", "pooling units, and cutting windows"),
        (sqlite_rows, "pack_units", "writing: packing units"),
        (sqlite.SqliteStore, "write", "writing: SQLite"),
        (analyzer.Analyzer, "tokens", "words: analysing texts"),
        (file.WordFile, "write", "words: writing their file"),
        (Resources, "model", "loading the model"),
        (Resources, "keep_query_encoder", "writing the encoder of queries"),
        (ingest._Run, "compare_with_store", "comparing with the store"),
    ):
        setattr(owner, name, clocked(getattr(owner, name), stage))


def clocked(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
    """Return a function that adds its own processor time, without that of other stages in it."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        outer = getattr(_running, "inside", 0.0)
        _running.inside = 0.0
        began = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            taken = time.thread_time() - began
            seconds[stage] += taken - _running.inside
            _running.inside = outer + taken

    return run


if __name__ == "__main__":
    main()
