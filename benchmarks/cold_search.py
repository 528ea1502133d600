"""Where a first search in a new process spends its time.

    python benchmarks/cold_search.py books.jsonl.gz [--documents 1000]

The documents are slices of the books (column `text`), indexed with MiniLM from PyPI. Medians of
five processes.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import minilm

from longembed_index.documents import jsonl_rows
from longembed_st.command.app import run

CHARACTERS = 2_000
PROCESSES = 5
STAGES = """
import json, sys, time
from pathlib import Path
times = [time.perf_counter()]
def stage():
    times.append(time.perf_counter())
import sentence_transformers, chromadb
stage()
from longembed_index.finding import Finder
stage()
finder = Finder(Path(sys.argv[1]))
stage()
finder.loaded
stage()
finder.find("who came into the room?")
stage()
finder.find("what did the old man say?")
stage()
print(json.dumps([b - a for a, b in zip(times, times[1:])]))
"""
NAMES = (
    "import of sentence-transformers and chromadb",
    "import of longembed_index",
    "the store's settings",
    "the model",
    "the first search",
    "another search",
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=1_000)
    given = parser.parse_args()
    draw = random.Random(0)
    books = [row["text"] for _, row in jsonl_rows(given.books)]
    books = [text for text in books if len(text) > 2 * CHARACTERS]
    with tempfile.TemporaryDirectory() as folder:
        store, documents = Path(folder) / "store", Path(folder) / "documents"
        documents.mkdir()
        for number in range(given.documents):
            book = draw.choice(books)
            start = draw.randrange(len(book) - CHARACTERS)
            text = book[start : start + CHARACTERS]
            (documents / f"{number}.txt").write_text(text, encoding="utf-8")
        if run(["index", str(documents), "--store", str(store), "--model", minilm()]):
            raise SystemExit(1)
        line = [sys.executable, "-c", STAGES, str(store)]
        stages = []
        for _ in range(PROCESSES):
            done = subprocess.run(line, stdout=subprocess.PIPE, check=True)
            stages.append(json.loads(done.stdout.splitlines()[-1]))
        for name, times in zip(NAMES, zip(*stages, strict=True), strict=True):
            print(f"{name:46} {statistics.median(times):6.2f} s")
        command = "from longembed_st.command.app import main; main()"
        whole = []
        for _ in range(PROCESSES):
            begin = time.perf_counter()
            line = [sys.executable, "-c", command, "search", "who came?", "--store", str(store)]
            subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
            whole.append(time.perf_counter() - begin)
        print(f"{'longembed search, all of it':46} {statistics.median(whole):6.2f} s")


if __name__ == "__main__":
    main()
