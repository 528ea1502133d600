"""Where a first search in a new process spends its time.

    python benchmarks/cold_search.py books.jsonl.gz [--documents 1000]

The documents are parts of the books (column `text`), indexed with MiniLM from PyPI. Medians of
five processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import minilm, seconds
from samples import Books

from longembed_index.document import Document
from longembed_index.index import Index

CHARACTERS = 2_000
PROCESSES = 5
STAGES = """
import json, sys, time
times = [time.perf_counter()]
def stage():
    times.append(time.perf_counter())
import sentence_transformers
stage()
from longembed_index.index import Index
stage()
index = Index.open(sys.argv[1])
stage()
index.model
stage()
index.search("who came into the room?")
stage()
index.search("what did the old man say?")
stage()
print(json.dumps([b - a for a, b in zip(times, times[1:])]))
"""
NAMES = (
    "import of sentence-transformers",
    "import of longembed_index",
    "opening the index",
    "the model",
    "the first search",
    "another search",
)
SEARCH = ("-m", "longembed_st", "search", "who came?", "--store")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=1_000)
    arguments = parser.parse_args()
    books = Books(arguments.books, CHARACTERS)
    with tempfile.TemporaryDirectory() as store:
        with Index.open(store, minilm()) as index:
            index.add_documents(
                [
                    Document(str(number), books.part(CHARACTERS))
                    for number in range(arguments.documents)
                ]
            )
        stages = []
        for _ in range(PROCESSES):
            line = [sys.executable, "-c", STAGES, store]
            result = subprocess.run(line, stdout=subprocess.PIPE, check=True)
            stages.append(json.loads(result.stdout.splitlines()[-1]))
        for name, times in zip(NAMES, zip(*stages, strict=True), strict=True):
            print(f"{name:46} {statistics.median(times):6.2f} s")

        def command(*options: str) -> None:
            line = [sys.executable, *SEARCH, store, *options]
            subprocess.run(line, stdout=subprocess.DEVNULL, check=True)

        for name, options in (("", ()), (", by words alone", ("--mode", "lexical"))):
            whole = statistics.median(seconds(lambda o=options: command(*o)) for _ in range(5))
            print(f"{f'longembed search, all of it{name}':46} {whole:6.2f} s")


if __name__ == "__main__":
    main()
