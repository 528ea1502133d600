"""Engines for an index of words that grows and shrinks: what each costs, and whether it is exact.

    pip install tantivy
    python benchmarks/engines.py books.jsonl.gz [--documents 20000]

Documents are slices of the books (column `text`), 8,000 characters each, one index of whole
documents; queries are 450 characters. Exact: whether, after a tenth of the documents was deleted,
scores are those of an index that never had them.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import bm25s
import numpy as np
from longembed_index.embedding import batches
from longembed_index.words import words_of

from longembed_index.documents import jsonl_rows
from longembed_index.lexical import WordFile

CHARACTERS = 8_000
BATCH = 100
FOUND = 100
Terms = Sequence[str]


class Tantivy:
    """Rust; segments with deletion marks."""

    def __init__(self, place: Path) -> None:
        import tantivy

        self._library = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("key", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        self._index = tantivy.Index(schema.build(), path=str(place))
        self._writer = self._index.writer(200_000_000)

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents, by key."""
        for key, terms in texts.items():
            self._writer.add_document(self._library.Document(key=key, text=" ".join(terms)))
        self._writer.commit()

    def delete(self, keys: Sequence[str]) -> None:
        """Remove documents."""
        for key in keys:
            self._writer.delete_documents_by_term("key", key)
        self._writer.commit()

    def search(self, terms: Terms) -> dict[str, float]:
        """The best documents with their scores."""
        self._index.reload()
        searcher = self._index.searcher()
        each = [
            (
                self._library.Occur.Should,
                self._library.Query.term_query(self._index.schema, "text", term),
            )
            for term in terms
        ]
        query = self._library.Query.boolean_query(each)
        hits = searcher.search(query, FOUND).hits
        return {searcher.doc(place)["key"][0]: score for score, place in hits}


class Fts5:
    """SQLite's own index and its own BM25."""

    def __init__(self, place: Path) -> None:
        self._database = sqlite3.connect(place / "fts5.sqlite3")
        self._database.execute("CREATE VIRTUAL TABLE found USING fts5(key UNINDEXED, text)")

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents, by key."""
        rows = [(key, " ".join(terms)) for key, terms in texts.items()]
        with self._database:
            self._database.executemany("INSERT INTO found VALUES (?, ?)", rows)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove documents."""
        with self._database:
            marks = ", ".join("?" * len(keys))
            self._database.execute(f"DELETE FROM found WHERE key IN ({marks})", keys)

    def search(self, terms: Terms) -> dict[str, float]:
        """The best documents with their scores."""
        wanted = " OR ".join(f'"{term}"' for term in terms)
        rows = self._database.execute(
            "SELECT key, -rank FROM found WHERE found MATCH ? ORDER BY rank LIMIT ?",
            (wanted, FOUND),
        )
        return dict(rows.fetchall())


class Bm25s:
    """Scores computed when it is made; every change makes it anew."""

    def __init__(self, place: Path) -> None:
        self._texts: dict[str, Terms] = {}
        self._made = False

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents, by key."""
        self._texts |= texts
        self._made = False

    def delete(self, keys: Sequence[str]) -> None:
        """Remove documents."""
        self._texts = {key: terms for key, terms in self._texts.items() if key not in set(keys)}
        self._made = False

    def search(self, terms: Terms) -> dict[str, float]:
        """The best documents with their scores."""
        if not self._made:
            self._index = bm25s.BM25()
            self._index.index(list(map(list, self._texts.values())), show_progress=False)
            self._made = True
        scores = self._index.get_scores(list(terms))
        best = np.argsort(-scores)[:FOUND]
        keys = list(self._texts)
        return {keys[place]: float(scores[place]) for place in best}


class Ours:
    """SQLite: its index names documents, scores are computed from the terms of these."""

    def __init__(self, place: Path) -> None:
        self._words = WordFile(place, "documents")

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents, by key."""
        self._words.add({key: " ".join(terms) for key, terms in texts.items()}, "none")

    def delete(self, keys: Sequence[str]) -> None:
        """Remove documents."""
        self._words.delete(keys)

    def search(self, terms: Terms) -> dict[str, float]:
        """The best documents with their scores."""
        query = " ".join(terms)
        asked = self._words.ask(query)
        scores = asked.scores(asked.candidates(FOUND))
        return {key: one.document for key, one in scores.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    given = parser.parse_args()
    draw, words = random.Random(0), words_of("english")
    books = [row["text"] for _, row in jsonl_rows(given.books)]
    books = [text for text in books if len(text) > 2 * CHARACTERS]

    def piece(characters: int) -> Terms:
        book = draw.choice(books)
        start = draw.randrange(len(book) - characters)
        return words.of(book[start : start + characters]).terms

    texts = {f"key{number}": piece(CHARACTERS) for number in range(given.documents)}
    queries = [list(dict.fromkeys(piece(450))) for _ in range(20)]
    gone = list(texts)[::10]
    left = {key: terms for key, terms in texts.items() if key not in set(gone)}
    for kind in (Tantivy, Fts5, Bm25s, Ours):
        place = Path(tempfile.mkdtemp())
        fresh_place = Path(tempfile.mkdtemp())
        engine, fresh = kind(place), kind(fresh_place)
        begin = time.perf_counter()
        for part in batches(list(texts.items()), BATCH):
            engine.add(dict(part))
        engine.search(queries[0])
        built = time.perf_counter() - begin
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6
        times = []
        for query in queries:
            begin = time.perf_counter()
            engine.search(query)
            times.append(1_000 * (time.perf_counter() - begin))
        begin = time.perf_counter()
        engine.delete(gone[:1])
        engine.search(queries[0])
        one = 1_000 * (time.perf_counter() - begin)
        engine.delete(gone[1:])
        for part in batches(list(left.items()), BATCH):
            fresh.add(dict(part))
        off = 0.0
        for query in queries:
            found, expected = engine.search(query), fresh.search(query)
            common = found.keys() & expected.keys()
            off = max(off, *(abs(found[key] / expected[key] - 1) for key in common))
        print(
            f"{kind.__name__:8} built {built:6.1f} s, {size:6.0f} MB, "
            f"query {np.median(times):6.1f} ms, "
            f"one document deleted and searched {one:6.0f} ms, scores off by {off:.2%}"
        )
        for folder in (place, fresh_place):
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
