"""Engines for an index of words that grows and shrinks: what each costs, and whether it is exact.

    pip install tantivy
    python benchmarks/engines.py books.jsonl.gz [--documents 20000]

Documents are parts of the books (column `text`), 8,000 characters each, one index of whole
documents; queries are 450 characters. Exact: whether, after a tenth of the documents was deleted,
scores are those of an index that never had them.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import bm25s
import numpy as np
from measure import bytes_of, seconds
from samples import INFO, Books, record_of

from longembed_index.lexical.analyzer import NO_LANGUAGE, get_analyzer
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import batches
from longembed_index.store.memory import MemoryStore

CHARACTERS = 8_000
BATCH = 100
BEST = 100
Terms = Sequence[str]


class Engine(Protocol):
    """What is compared."""

    def __init__(self, folder: Path) -> None: ...

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents by key."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete documents."""

    def search(self, terms: Terms) -> dict[str, float]:
        """Return the best documents with their scores."""


class Tantivy:
    """Rust; segments with deletion marks."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._library = tantivy
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("key", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        self._index = tantivy.Index(schema.build(), path=str(folder))
        self._writer = self._index.writer(200_000_000)

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents by key."""
        for key, terms in texts.items():
            self._writer.add_document(self._library.Document(key=key, text=" ".join(terms)))
        self._writer.commit()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete documents."""
        for key in keys:
            self._writer.delete_documents_by_term("key", key)
        self._writer.commit()

    def search(self, terms: Terms) -> dict[str, float]:
        """Return the best documents with their scores."""
        self._index.reload()
        searcher = self._index.searcher()
        clauses = [
            (
                self._library.Occur.Should,
                self._library.Query.term_query(self._index.schema, "text", term),
            )
            for term in terms
        ]
        query = self._library.Query.boolean_query(clauses)
        hits = searcher.search(query, BEST).hits
        return {searcher.doc(address)["key"][0]: score for score, address in hits}


class Fts5:
    """SQLite's own index and its own BM25."""

    def __init__(self, folder: Path) -> None:
        self._database = sqlite3.connect(folder / "fts5.sqlite3")
        self._database.execute("CREATE VIRTUAL TABLE documents USING fts5(key UNINDEXED, text)")

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents by key."""
        rows = [(key, " ".join(terms)) for key, terms in texts.items()]
        with self._database:
            self._database.executemany("INSERT INTO documents VALUES (?, ?)", rows)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete documents."""
        with self._database:
            marks = ", ".join("?" * len(keys))
            self._database.execute(f"DELETE FROM documents WHERE key IN ({marks})", keys)

    def search(self, terms: Terms) -> dict[str, float]:
        """Return the best documents with their scores."""
        query = " OR ".join(f'"{term}"' for term in terms)
        rows = self._database.execute(
            "SELECT key, -rank FROM documents WHERE documents MATCH ? ORDER BY rank LIMIT ?",
            (query, BEST),
        )
        return dict(rows.fetchall())


class Bm25s:
    """Scores are computed when it is built; every change builds it again."""

    def __init__(self, folder: Path) -> None:
        self._texts: dict[str, Terms] = {}
        self._is_built = False

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents by key."""
        self._texts |= texts
        self._is_built = False

    def delete(self, keys: Sequence[str]) -> None:
        """Delete documents."""
        self._texts = {key: terms for key, terms in self._texts.items() if key not in set(keys)}
        self._is_built = False

    def search(self, terms: Terms) -> dict[str, float]:
        """Return the best documents with their scores."""
        if not self._is_built:
            self._index = bm25s.BM25()
            self._index.index(list(map(list, self._texts.values())), show_progress=False)
            self._is_built = True
        scores = self._index.get_scores(list(terms))
        best = np.argsort(-scores)[:BEST]
        keys = list(self._texts)
        return {keys[row]: float(scores[row]) for row in best}


class Ours:
    """Lists in SQLite name documents; scores are computed from the terms of these."""

    def __init__(self, folder: Path) -> None:
        self._words = WordIndex(folder, "documents")
        self._store = MemoryStore(replace(INFO, language=NO_LANGUAGE))

    def add(self, texts: dict[str, Terms]) -> None:
        """Add documents by key; their words are brought up to date with the next query."""
        vector = np.ones(1, dtype=np.float32)
        self._store.write([record_of(key, " ".join(terms), vector) for key, terms in texts.items()])

    def delete(self, keys: Sequence[str]) -> None:
        """Delete documents."""
        self._store.write([], delete=keys)

    def search(self, terms: Terms) -> dict[str, float]:
        """Return the best documents with their scores."""
        self._words.update(self._store)
        query = self._words.query(" ".join(terms))
        scores = query.scores(query.candidates(BEST))
        return {key: score.document for key, score in scores.items()}


def measure(engine_class: type[Engine], texts: dict[str, Terms], queries: list[Terms]) -> str:
    """Return one line: what it takes to build, to query and to delete, and whether it is exact."""
    gone = list(texts)[::10]
    left = {key: terms for key, terms in texts.items() if key not in set(gone)}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as fresh_folder:
        engine, fresh = engine_class(Path(folder)), engine_class(Path(fresh_folder))

        def build() -> None:
            for batch in batches(list(texts.items()), BATCH):
                engine.add(dict(batch))
            engine.search(queries[0])

        def delete_one() -> None:
            engine.delete(gone[:1])
            engine.search(queries[0])

        built = seconds(build)
        size = bytes_of(Path(folder)) / 1e6
        query = np.median([seconds(lambda terms=terms: engine.search(terms)) for terms in queries])
        one_deleted = seconds(delete_one)
        engine.delete(gone[1:])
        for batch in batches(list(left.items()), BATCH):
            fresh.add(dict(batch))
        error = 0.0
        for terms in queries:
            scores, expected = engine.search(terms), fresh.search(terms)
            common = scores.keys() & expected.keys()
            error = max(error, *(abs(scores[key] / expected[key] - 1) for key in common))
    return (
        f"{engine_class.__name__:8} built {built:6.1f} s, {size:6.0f} MB, "
        f"query {1000 * query:6.1f} ms, one document deleted and searched "
        f"{1000 * one_deleted:6.0f} ms, scores off by {error:.2%}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("books", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    arguments = parser.parse_args()
    books, analyzer = Books(arguments.books, CHARACTERS), get_analyzer("english")

    def terms(characters: int) -> Terms:
        return analyzer.tokens(books.part(characters)).terms

    texts = {f"key{number}": terms(CHARACTERS) for number in range(arguments.documents)}
    queries = [list(dict.fromkeys(terms(450))) for _ in range(20)]
    for engine_class in (Tantivy, Fts5, Bm25s, Ours):
        print(measure(engine_class, texts, queries), flush=True)


if __name__ == "__main__":
    main()
