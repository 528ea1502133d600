"""How long a search takes in a large store: vectors alone, words alone, both.

    python benchmarks/latency.py books.jsonl.gz [--documents 100000] [--keep FOLDER] [--candidates]

Texts are parts of the books (column `text`), 8,000 characters each; vectors are random. Queries are
450 characters of a book, and ten words of one. The time is the index's, without the model. A store
that is kept is not made again.

With `--candidates`, also which share of the best documents by words is among those that the words
name: of the five and the ten best of all documents, each scored.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from samples import INFO, Books, record_of, unit_vectors

from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import batches
from longembed_index.search.question import parse_question
from longembed_index.search.ranking import MODES, Ranking
from longembed_index.search.scores import lexical_scores
from longembed_index.search.searcher import Searcher
from longembed_index.store.kinds import open_store
from longembed_index.store.protocol import Store

CHARACTERS = 8_000
QUERIES = 30
CANDIDATES = 100
"""Documents that the words of a large store name in a search."""
BEST = (5, 10)


def fill(folder: Path, books: Books, count: int, batch: int) -> None:
    """Write a store and its words, and print what that takes."""
    draw = np.random.default_rng(0)
    store = open_store(folder, create=INFO, write=True)
    began = time.perf_counter()
    for numbers in batches(range(count), batch):
        vectors = unit_vectors(draw, len(numbers))
        texts = [books.part(CHARACTERS) for _ in numbers]
        store.write(
            [
                record_of(f"{number:09}", text, vector)
                for number, text, vector in zip(numbers, texts, vectors, strict=True)
            ]
        )
    print(f"store {time.perf_counter() - began:,.0f} s")
    began = time.perf_counter()
    words = WordIndex(folder, "documents")
    words.update(store)
    size = words.path.stat().st_size / 1e6
    print(f"words {time.perf_counter() - began:,.0f} s, {size:,.0f} MB")
    store.close()


def show_times(store: Store, words: WordIndex, queries: dict[str, list[str]]) -> None:
    """Print the times of each kind of query, searched in each mode."""

    def current_words() -> WordIndex:
        words.update(store)
        return words

    searcher = Searcher(store, current_words)
    vectors = unit_vectors(np.random.default_rng(1), QUERIES)
    for kind, texts in queries.items():
        for mode in MODES:
            ranking, milliseconds = Ranking(mode=mode), []
            for text, vector in zip(texts, vectors, strict=True):
                question = parse_question(text.replace('"', ""))
                began = time.perf_counter()
                searcher.search(question, vector, 5, ranking=ranking)
                milliseconds.append(1_000 * (time.perf_counter() - began))
            first, *warm = milliseconds
            median, high = np.percentile(warm, [50, 95])
            print(
                f"{kind:15} {mode:8} first {first:6.0f} ms, median {median:6.1f}, "
                f"95th percentile {high:6.1f}",
                flush=True,
            )


def show_candidates(store: Store, words: WordIndex, queries: dict[str, list[str]]) -> None:
    """Print the share of the best documents that the words name."""
    ids = [entry.id for entry in store.entries()]
    for kind, texts in queries.items():
        shares: dict[int, list[float]] = {count: [] for count in BEST}
        for text in texts:
            query = words.query(text)
            totals = lexical_scores(ids, query.scores(ids), query.highest).totals
            ordered = [ids[row] for row in np.argsort(-totals, kind="stable")[: max(BEST)]]
            named = set(query.candidates(CANDIDATES))
            for count in BEST:
                shares[count].append(len(named.intersection(ordered[:count])) / count)
        listed = ", ".join(f"{np.mean(s):.1%} of the {count} best" for count, s in shares.items())
        print(f"{kind:15} {listed}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--candidates", action="store_true")
    arguments = parser.parse_args()
    books = Books(arguments.books, CHARACTERS)
    queries = {
        "450 characters": [books.part(450) for _ in range(QUERIES)],
        "ten words": [books.ten_words() for _ in range(QUERIES)],
    }
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.keep or Path(folder)
        words = WordIndex(place, "documents")
        if not words.path.is_file():
            fill(place, books, arguments.documents, arguments.batch)
        store = open_store(place)
        show_times(store, words, queries)
        print(f"resident memory {psutil.Process().memory_info().rss / 1e6:,.0f} MB")
        if arguments.candidates:
            show_candidates(store, words, queries)
        store.close()


if __name__ == "__main__":
    main()
