"""Where the time of `longembed index` goes: reading, tokenizing, the model, pooling, and writing.

    python benchmarks/indexing.py FOLDER [--files 5] [--store FOLDER] [--backend openvino]

The smallest files of a folder are indexed with MiniLM from PyPI; imports are not counted. Each
stage is a function of ours that is timed from outside, without the stages inside it: in seconds of
the processor, which other programs hardly change, and on the clock, which counts waiting for the
disk. Files are read in a thread of their own, and parsed in a process of its own. With torch, the
model has one thread. OpenVINO computes in threads of its own: their processor time is under
"everything else", and the clock of "the model" is right.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import numpy as np
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
stages: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))


def main() -> None:
    """Index, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    # Otherwise the tokenizer works in threads of its own.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "store"
        found = find_files([arguments.folder], parser=Parser()).files
        files = sorted(found, key=lambda file: file.size)[: arguments.files]
        engine = {"backend": arguments.backend, "dtype": arguments.dtype}
        with Index.open(store, minilm(), **engine) as index:
            time_stages(arguments.backend)
            began, wall = time.process_time(), time.perf_counter()
            index.add(*(file.id for file in files))
            own, wall = time.process_time() - began, time.perf_counter() - wall
            characters = sum(entry.characters for entry in index.documents())
    rest = own - sum(processor for processor, _ in stages.values())
    stages["everything else"] = np.array([rest, np.nan])
    stages["parsing, in a process of its own"] = np.array([seconds_of_children(), np.nan])
    print(f"{len(files)} files, {characters:,} characters, {wall:.1f} s on the clock")
    whole = sum(processor for processor, _ in stages.values())
    for name, (processor, clock) in sorted(stages.items(), key=lambda pair: -pair[1][0]):
        print(f"{name:40} {processor:8.2f} s {100 * processor / whole:5.1f} %, {clock:8.2f} s")


def seconds_of_children() -> float:
    """Return the processor time of child processes, ended or not."""
    ended = getrusage(RUSAGE_CHILDREN)
    running = [child.cpu_times() for child in psutil.Process().children()]
    return ended.ru_utime + ended.ru_stime + sum(each.user + each.system for each in running)


def time_stages(backend: str) -> None:
    """Replace functions by themselves with a clock."""
    import torch

    from longembed_st.base.computing import ComputingTransformer
    from longembed_st.base.tokenizing import TokenizingTransformer
    from longembed_st.sentence_transformer.model import LongSentenceTransformer

    if backend == "torch":
        # Other threads are not counted.
        torch.set_num_threads(1)
    for owner, name, stage in (
        (read_ahead.SourceReader, "_reading", "reading files, in a thread of its own"),
        (embedding, "sentence_units", "cutting texts into sentences"),
        (TokenizingTransformer, "tokenize_texts", "tokenizing"),
        (LongSentenceTransformer, "encode_units", "cutting windows, pooling units"),
        (sqlite_rows, "pack_units", "writing: packing units"),
        (sqlite.SqliteStore, "write", "writing: SQLite"),
        (analyzer.Analyzer, "tokens", "words: analysing texts"),
        (file.WordFile, "write", "words: writing their file"),
        (Resources, "model", "loading the model"),
        (Resources, "keep_query_encoder", "writing the encoder of queries"),
        (ingest._Run, "compare_with_store", "comparing with the store"),
    ):
        setattr(owner, name, clocked(getattr(owner, name), stage))
    ComputingTransformer.compute_in_order = clocked_steps(ComputingTransformer.compute_in_order)


def clocked(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
    """Return a function that adds the time it takes, without that of other stages in it."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        outer = getattr(_running, "inside", np.zeros(2))
        _running.inside = np.zeros(2)
        began = now()
        try:
            return function(*args, **kwargs)
        finally:
            taken = now() - began
            stages[stage] += taken - _running.inside
            _running.inside = outer + taken

    return run


def clocked_steps(compute: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return a generator function whose steps are timed as those of the model."""

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        step = clocked(compute(*args, **kwargs).__next__, "the model")
        with suppress(StopIteration):
            while True:
                yield step()

    return run


def now() -> np.ndarray:
    """Return the seconds of the processor and of the clock, of this thread."""
    return np.array([time.thread_time(), time.perf_counter()])


if __name__ == "__main__":
    main()
