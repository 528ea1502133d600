"""How long a search takes in a large store: vectors alone, words alone, both.

    python benchmarks/latency.py books.jsonl.gz [--documents 100000] [--keep FOLDER]

Texts are slices of the books (column `text`), 8,000 characters each; vectors are random. Queries
are 450 characters of a book, and ten words of one. The time is the index's, without the model. A
store that is kept is not made again.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from longembed_index.embedding import batches
from longembed_index.hybrid import catch_up, question_of, search_hybrid
from longembed_index.passages import search_dense
from longembed_index.testing import MADE_BY, record

from chroma_longembed.folders import ChromaFolders
from longembed_index.documents import jsonl_rows
from longembed_index.lexical import WordFile

CHARACTERS = 8_000
WIDTH = 384
QUERIES = 30


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    draw, numbers = random.Random(0), np.random.default_rng(0)
    books = [row["text"] for _, row in jsonl_rows(given.books)]
    books = [text for text in books if len(text) > 2 * CHARACTERS]

    def piece(characters: int) -> str:
        book = draw.choice(books)
        start = draw.randrange(len(book) - characters)
        return book[start : start + characters]

    long = [piece(450) for _ in range(QUERIES)]
    short = [" ".join(piece(200).split()[1:11]) for _ in range(QUERIES)]
    vectors = numbers.standard_normal((QUERIES, WIDTH))
    with tempfile.TemporaryDirectory() as folder:
        place = given.keep or Path(folder)
        words = WordFile(place, "documents")
        if not words.path.is_file():
            place.mkdir(exist_ok=True)
            make(place, words, given, piece, numbers)
        ways = {
            "vectors": lambda query, vector: search_dense(store, vector, 5),
            "words": lambda query, vector: search_hybrid(store, words, question_of(query), None, 5),
            "both": lambda query, vector: search_hybrid(
                store, words, question_of(query), vector, 5
            ),
        }
        with ChromaFolders().open(place, "documents", None) as store:
            for kind, queries in (("450 characters", long), ("ten words", short)):
                for name, way in ways.items():
                    times = []
                    for query, vector in zip(queries, vectors, strict=True):
                        begin = time.perf_counter()
                        way(query, vector)
                        times.append(1_000 * (time.perf_counter() - begin))
                    cold, *warm = times
                    middle, late = np.percentile(warm, [50, 95])
                    print(
                        f"{kind:15} {name:8} first {cold:6.0f} ms, median {middle:6.0f}, "
                        f"95th percentile {late:6.0f}"
                    )
        print(f"resident memory {psutil.Process().memory_info().rss / 1e6:,.0f} MB")


def make(
    place: Path,
    words: WordFile,
    given: argparse.Namespace,
    piece: Callable[[int], str],
    numbers: np.random.Generator,
) -> None:
    """Fill a store and its words, and print what that takes."""
    with ChromaFolders().open(place, "documents", MADE_BY) as store:
        begin = time.perf_counter()
        for part in batches(range(given.documents), given.batch):
            made = numbers.standard_normal((len(part), WIDTH)).tolist()
            store.write(
                [
                    record(f"{number:09}", *vector, text=piece(CHARACTERS))
                    for number, vector in zip(part, made, strict=True)
                ]
            )
        print(f"store {time.perf_counter() - begin:,.0f} s")
        begin = time.perf_counter()
        catch_up(store, words, "english")
        size = words.path.stat().st_size / 1e6
        print(f"words {time.perf_counter() - begin:,.0f} s, {size:,.0f} MB")


if __name__ == "__main__":
    main()
