"""Three ways to find the documents that have words of a query: our lists, FTS5, and tantivy.

    pip install tantivy
    python benchmarks/word_lists.py [--documents 100000] [--words 300]

Documents and queries are words drawn by Zipf's law. All three get the same terms, already analysed.
Seconds are those of the processor, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tantivy

from longembed_index.lexical.postings import (
    STATEMENTS,
    DocumentTerms,
    add_postings,
    score_postings,
)
from longembed_index.lexical.scores import idf

BATCH, QUERIES, QUERY_WORDS, BEST = 500, 50, 8, 100
VOCABULARY = 50_000
Find = Callable[[list[int]], list[int]]


def zipf(count: int, words: int, seed: int) -> Iterator[np.ndarray]:
    """Yield texts as numbers of terms, from 1 on."""
    draw = np.random.default_rng(seed)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    sums = np.cumsum(weights / weights.sum())
    for _ in range(count):
        yield (1 + np.searchsorted(sums, draw.random(words))).astype(np.int32)


def as_text(terms: np.ndarray) -> str:
    """Return terms as words of a text."""
    return " ".join(map(str, terms.tolist()))


def match(terms: list[int]) -> str:
    """Return a query of FTS5."""
    return " OR ".join(f'"{term}"' for term in terms)


def rarest(terms: list[int], counts: np.ndarray, most: int) -> list[int]:
    """Return the rarest terms, whose lists are together at most so long; one at least."""
    terms = sorted(terms, key=lambda term: counts[term])
    return terms[: max(1, np.count_nonzero(np.cumsum(counts[terms]) <= most))]


def our_lists(folder: Path, texts: list[np.ndarray], counts: np.ndarray) -> Find:
    """Write the lists of `longembed_index`, in the transactions of an update."""
    database = sqlite3.connect(folder / "lists.sqlite3", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    for statement in STATEMENTS:
        database.execute(statement)
    numbered = [DocumentTerms(number, text, len(text)) for number, text in enumerate(texts, 1)]
    for start in range(0, len(texts), BATCH):
        database.execute("BEGIN IMMEDIATE")
        add_postings(database, numbered[start : start + BATCH])
        database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    average = sum(map(len, texts)) / len(texts)

    def find(query: list[int]) -> list[int]:
        terms = rarest(query, counts, 2 * len(texts))
        weights = idf(counts[terms].astype(np.float64), len(texts))
        numbers, scores = score_postings(database, terms, weights, average)
        return numbers[np.argsort(-scores)[:BEST]].tolist()

    return find


def fts5(folder: Path, texts: list[np.ndarray], counts: np.ndarray) -> Find:
    """Write a full-text index of SQLite, which is asked for rare words first."""
    database = sqlite3.connect(folder / "fts5.sqlite3", isolation_level=None)
    database.execute("CREATE VIRTUAL TABLE found USING fts5(terms, content='')")
    for start in range(0, len(texts), BATCH):
        rows = enumerate(map(as_text, texts[start : start + BATCH]), start + 1)
        database.execute("BEGIN")
        database.executemany("INSERT INTO found (rowid, terms) VALUES (?, ?)", rows)
        database.execute("COMMIT")
    select = "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?"
    return lambda query: [
        number
        for (number,) in database.execute(select, (match(rarest(query, counts, len(texts))), BEST))
    ]


def by_tantivy(folder: Path, texts: list[np.ndarray], counts: np.ndarray) -> Find:
    """Write an index of tantivy, with a commit for each batch."""
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("number", stored=True, fast=True)
    builder.add_text_field(
        "terms", stored=False, tokenizer_name="whitespace", index_option="position"
    )
    schema = builder.build()
    index = tantivy.Index(schema, path=str(folder))
    writer = index.writer(heap_size=100_000_000, num_threads=1)
    for number, text in enumerate(texts, 1):
        writer.add_document(tantivy.Document(number=number, terms=as_text(text)))
        if number % BATCH == 0:
            writer.commit()
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def find(query: list[int]) -> list[int]:
        terms = [tantivy.Query.term_query(schema, "terms", str(term)) for term in query]
        whole = tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms])
        hits = searcher.search(whole, BEST, count=False).hits
        return [searcher.doc(address)["number"][0] for _, address in hits]

    return find


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=300)
    options = parser.parse_args()
    texts = list(zipf(options.documents, options.words, seed=1))
    counts = np.zeros(VOCABULARY + 1, dtype=np.int64)
    for text in texts:
        counts[np.unique(text)] += 1
    draw = random.Random(2)
    queries = [
        draw.sample(sorted(set(text.tolist())), QUERY_WORDS)
        for text in zipf(QUERIES, 3 * QUERY_WORDS, seed=3)
    ]
    best: list[set[int]] = []
    for write in (our_lists, fts5, by_tantivy):
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            find = write(Path(folder), texts, counts)
            built = time.process_time() - began
            size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
            seconds, found = [], []
            for query in [*queries[:5], *queries]:
                began = time.process_time()
                found.append(set(find(query)))
                seconds.append(time.process_time() - began)
            best = best or found
            shared = np.mean([len(ours & theirs) for ours, theirs in zip(best, found, strict=True)])
            print(
                f"{write.__name__}: built in {built:.1f} s, {size / 1e6:.0f} MB, "
                f"{BEST} candidates in {1000 * np.median(seconds):.1f} ms "
                f"(slowest {1000 * max(seconds):.1f}), {shared:.0f} of them ours"
            )


if __name__ == "__main__":
    main()
