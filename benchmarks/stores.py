"""The kinds of stores on the same documents: seconds, bytes, and what an exact search would find.

    python benchmarks/stores.py [--documents 100000] [--kinds sqlite chroma lancedb]

Documents are words drawn by Zipf's law; vectors come from a mixture of 2,000 Gaussians, as no model
would make so many in an hour. All kinds go through the store protocol, with their words: in a file
beside the store, or LanceDB's own. Of "chroma", the mirror in Chroma is included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from measure import bytes_of, timed
from samples import INFO, WIDTH, record_of, unit_vectors, zipf_texts

from longembed_index.document import Record
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import batches
from longembed_index.store.kinds import open_store
from longembed_index.store.protocol import LexicalIndex, Store

K = 10
QUERIES = 50
BATCH, UNIT_BATCH = 500, 100
UNITS = 30
"""Of each document, where units are measured."""


FILTERS = {
    "a hash": {"content_hash": "hash of 000000007.txt"},
    "one author of 1,000": {"author": "author 7"},
    "a range of years": {"year": {"gte": 2019}},
    "a pattern of ids": {"source": "0000001*"},
}
"""Which documents are listed, or searched for."""


def cloud_vectors(count: int, draw: np.random.Generator) -> np.ndarray:
    """Return unit vectors in 2,000 clouds, shape (count, WIDTH)."""
    centres = draw.normal(size=(2000, WIDTH))
    vectors = centres[draw.integers(len(centres), size=count)] + draw.normal(size=(count, WIDTH))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def name_of(number: int) -> str:
    """Return the id of a document."""
    return f"{number:09}.txt"


def milliseconds(work: Callable[[int], object], times: int = QUERIES) -> float:
    """Return the median time of some calls."""
    return 1000 * float(np.median([timed(lambda n=n: work(n))[0] for n in range(times)]))


def write(store: Store, records: Iterator[Record], count: int, batch: int) -> None:
    """Write records, so many in a commit."""
    for numbers in batches(range(count), batch):
        store.write([next(records) for _ in numbers])


def measure(kind: str, folder: Path, count: int, words: int) -> None:
    """Write a store, then search it, and print what that takes."""
    draw = np.random.default_rng(0)
    vectors = cloud_vectors(count, draw)
    queries = cloud_vectors(QUERIES, draw) + vectors[np.arange(QUERIES) % count]
    records = (
        record_of(
            name_of(number),
            text,
            vectors[number],
            metadata={"year": 1990 + number % 30, "author": f"author {number % 1000}"},
        )
        for number, text in enumerate(zipf_texts(count, words))
    )
    began = time.perf_counter()
    store = open_store(folder, kind=kind, create=INFO, write=True)
    write(store, records, count, BATCH)
    written = time.perf_counter() - began
    own_words = WordIndex(folder, "documents")
    if store.lexical() is None:
        own_words.update(store)
    with_words = time.perf_counter() - began
    store.close()
    total = time.perf_counter() - began
    print(f"\n{kind}: {count:,} documents of {words} words")
    print(f"  written in {total:.1f} s: {written:.1f} s until the last commit, ", end="")
    print(f"{with_words - written:.1f} s for a file of words, {total - with_words:.1f} s to close")
    print(f"  {bytes_of(folder) / 1e6:,.0f} MB on disk")
    if kind == "lancedb":
        delete_old_versions(folder)
        print(f"  {bytes_of(folder) / 1e6:,.0f} MB without versions that are kept for ten minutes")
    began = time.perf_counter()
    store = open_store(folder)
    store.nearest(queries[0], K)
    print(f"  opened and searched once: {time.perf_counter() - began:.2f} s")
    show_vector_search(store, vectors, queries)
    show_reads(store)
    show_word_search(store.lexical() or own_words)
    store.close()


def delete_old_versions(folder: Path) -> None:
    """Do what the next run would, if it came ten minutes later."""
    import lancedb

    database = lancedb.connect(str(folder))
    for name in database.list_tables().tables:
        database.open_table(name).optimize(cleanup_older_than=timedelta(0))


def show_vector_search(store: Store, vectors: np.ndarray, queries: np.ndarray) -> None:
    """Print the times of a search by vectors, with its recall, also under a filter."""
    nearest: list[set[str]] = []
    search = milliseconds(
        lambda n: nearest.append({document_id for document_id, _ in store.nearest(queries[n], K)})
    )
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :K]
    recall = np.mean(
        [len(ids & set(map(name_of, row))) / K for ids, row in zip(nearest, exact, strict=True)]
    )
    print(f"  nearest by vector: {search:.1f} ms, recall@{K} against exact {recall:.3f}")
    where = FILTERS["one author of 1,000"]
    search = milliseconds(lambda n: store.nearest(queries[n], K, where), 10)
    print(f"  nearest by vector, of one author: {search:.1f} ms")


def show_reads(store: Store) -> None:
    """Print the times of reading documents by id and by filter."""
    ids = [entry.id for entry in store.entries()]
    some = [ids[row] for row in np.random.default_rng(3).integers(len(ids), size=QUERIES)]
    print(f"  a document by its id: {milliseconds(lambda n: store.get([some[n]])):.2f} ms")
    print(f"  the generation: {milliseconds(lambda _: store.generation):.3f} ms")
    print(f"  all vectors: {milliseconds(lambda _: store.vectors(), 3):,.0f} ms")
    for name, where in {"all documents": None, **FILTERS}.items():
        listed = milliseconds(lambda _, where=where: list(store.entries(where)), 3)
        print(f"  entries, {name}: {listed:,.1f} ms")


def show_word_search(words: LexicalIndex) -> None:
    """Print the time of a search by words."""
    texts = [" ".join(text.split()[-5:]) for text in zipf_texts(QUERIES, 30)]

    def search(number: int) -> None:
        query = words.query(texts[number])
        query.scores(query.candidates(100))

    print(f"  by words, 100 candidates scored with passages: {milliseconds(search, 20):.1f} ms")


def measure_units(kind: str, folder: Path, count: int) -> None:
    """Write a store with units, read them, and print what that takes."""
    draw = np.random.default_rng(2)

    def records() -> Iterator[Record]:
        for number in range(count):
            vector, *units = unit_vectors(draw, UNITS + 1)
            yield record_of(name_of(number), "x" * 100 * UNITS, vector, np.stack(units))

    store = open_store(folder, kind=kind, create=replace(INFO, units=True), write=True)
    written, _ = timed(lambda: write(store, records(), count, UNIT_BATCH))
    store.close()
    store = open_store(folder)
    some = [name_of(number) for number in range(0, count, max(1, count // 100))]
    everything = milliseconds(lambda _: sum(1 for _ in store.units()), 3)
    few = milliseconds(lambda _: list(store.units(some)), 5)
    store.close()
    print(f"\n{kind}: {count:,} documents of {UNITS} units")
    print(f"  written in {written:.1f} s, {bytes_of(folder) / 1e6:,.0f} MB on disk")
    print(f"  all units read in {everything:,.0f} ms, of {len(some)} documents in {few:.1f} ms")


def main() -> None:
    """Measure all kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--kinds", nargs="*", default=["sqlite", "chroma", "lancedb"])
    parser.add_argument("--unit-documents", type=int, default=5_000)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory() as folder:
            measure(kind, Path(folder, kind), arguments.documents, arguments.words)
            measure_units(kind, Path(folder, "units"), arguments.unit_documents)


if __name__ == "__main__":
    main()
