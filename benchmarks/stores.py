"""Chroma and LanceDB on the same documents: bytes, seconds, and what an exact search would find.

    python benchmarks/stores.py [--documents 100000] [--kinds lancedb chroma]

Documents are words drawn by Zipf's law; vectors come from a mixture
of 2,000 Gaussians, as no model would make so many in an hour. Both stores go through the package's
own store protocol, so that words are included: Chroma's in a file beside it, LanceDB's within.
Spans are compared in three ways: SQLite (beside Chroma), LanceDB with a column of many vectors
(what `lancedb_longembed` does), and LanceDB with a row for each span.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.index import BTree
from lancedb_longembed.spans import LanceSpans
from longembed_index.hybrid import catch_up
from longembed_index.opening import kind_of
from longembed_index.records import Record
from longembed_index.spans import DocumentSpans, SpanFile
from longembed_index.testing import MADE_BY
from longembed_index.word_index import RanksWords, WordIndex

from longembed_index.lexical import WordFile
from longembed_index.store import Store

WIDTH = 384
K = 10
QUERIES = 50
BATCH = 500


def vectors(count: int, draw: np.random.Generator) -> np.ndarray:
    """Of unit length, in 2,000 clouds."""
    centres = draw.normal(size=(2000, WIDTH))
    made = centres[draw.integers(len(centres), size=count)] + draw.normal(size=(count, WIDTH))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def texts(count: int, words: int) -> Iterator[str]:
    """Words by Zipf's law, of 50,000 different ones."""
    draw = np.random.default_rng(1)
    letters = random.Random(1)
    names = [
        "".join(letters.choices("etaoinshrdlu", k=letters.randint(2, 10))) for _ in range(50_000)
    ]
    weights = 1 / np.arange(1, len(names) + 1)
    sums = np.cumsum(weights / weights.sum())
    for _ in range(count):
        yield " ".join(names[n] for n in np.searchsorted(sums, draw.random(words)))


def bytes_of(place: Path) -> int:
    """All files below a folder."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def milliseconds(work: Callable[[int], object], times: int = QUERIES) -> float:
    """The median of some calls."""
    took = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - began)
    return 1000 * float(np.median(took))


def measure(kind: str, place: Path, count: int, words: int) -> None:
    """Write a store, then ask it."""
    draw = np.random.default_rng(0)
    all_vectors = vectors(count, draw)
    queries = vectors(QUERIES, draw) + all_vectors[:QUERIES]
    place.mkdir()
    began = time.perf_counter()
    with kind_of(place, kind).open(place, "documents", MADE_BY) as store:
        waiting: list[Record] = []
        if isinstance(store, RanksWords):
            store.speak("english")
        for number, text in enumerate(texts(count, words)):
            data = {"source": f"{number}.txt", "title": str(number), "content_hash": str(number)}
            data |= {"tokens": words, "read": words, "windows": 1}
            waiting.append(Record(f"{number:032x}", text, all_vectors[number], data))
            if len(waiting) == BATCH or number == count - 1:
                store.write(waiting)
                waiting = []
        written = time.perf_counter() - began
        file = WordFile(place, "documents")
        if not isinstance(store, RanksWords):
            catch_up(store, file, "english")
    took = time.perf_counter() - began
    print(f"\n{kind}: {count:,} documents of {words} words")
    print(f"  written in {took:,.0f} s, {written:,.0f} of them without a file of words")
    print(f"  {bytes_of(place) / 1e6:,.0f} MB on disk")
    if kind == "lancedb":
        forget_old_versions(place)
        print(f"  {bytes_of(place) / 1e6:,.0f} MB without versions that are kept for ten minutes")
    began = time.perf_counter()
    with kind_of(place).open(place, "documents", None) as store:
        store.search(queries[0], K)
        print(f"  opened and searched once: {time.perf_counter() - began:.2f} s")
        search(store, all_vectors, queries)
        ask(store, store.word_index if isinstance(store, RanksWords) else file)


def forget_old_versions(place: Path) -> None:
    """What the next run would do, if it came ten minutes later."""
    database = lancedb.connect(str(place))
    for name in database.list_tables().tables:
        database.open_table(name).optimize(cleanup_older_than=timedelta(0))


def search(store: Store, all_vectors: np.ndarray, queries: np.ndarray) -> None:
    """By vectors, and by keys."""
    found: list[set[str]] = []
    took = milliseconds(lambda n: found.append({match.id for match in store.search(queries[n], K)}))
    exact = np.argsort(-(queries @ all_vectors.T), axis=1)[:, :K]
    shares = [
        len(ids & {f"{number:032x}" for number in row}) / K
        for ids, row in zip(found, exact, strict=True)
    ]
    print(f"  by vectors: {took:.1f} ms, recall@{K} against exact {np.mean(shares):.3f}")
    ids = [f"{number:032x}" for number in exact[:, 0]]
    print(f"  a document: {milliseconds(lambda n: store.get([ids[n]])):.1f} ms")
    print(f"  by its hash: {milliseconds(lambda n: store.having('content_hash', str(n))):.1f} ms")


def ask(store: Store, words: WordIndex) -> None:
    """By words."""
    asked = [" ".join(text.split()[-5:]) for text in texts(QUERIES, 30)]

    def candidates(number: int) -> None:
        query = words.ask(asked[number])
        query.scores(query.candidates(100))

    print(f"  by words, 100 candidates scored with passages: {milliseconds(candidates, 20):.1f} ms")


def spans(place: Path, count: int, each: int = 30) -> None:
    """The three ways to keep spans."""
    draw = np.random.default_rng(2)
    ranges = np.array([(100 * n, 100 * n + 100) for n in range(each)])

    def documents() -> Iterator[list[DocumentSpans]]:
        for start in range(0, count, 100):
            yield [
                DocumentSpans(f"{n:032x}", ranges, *_split(vectors_of(draw, each + 1)))
                for n in range(start, min(start + 100, count))
            ]

    some = [f"{n:032x}" for n in range(0, count, max(1, count // 100))]
    print(f"\nspans of {count:,} documents, {each} each")
    with kind_of(place / "lance", "lancedb").open(place / "lance", "documents", MADE_BY):
        pass
    (place / "sqlite").mkdir()
    for name, kept, folder in (
        ("SQLite", SpanFile(place / "sqlite", "documents"), place / "sqlite"),
        (
            "LanceDB, many vectors a row",
            LanceSpans(str(place / "lance"), "documents"),
            place / "lance",
        ),
    ):
        began = time.perf_counter()
        for part in documents():
            kept.put("one", part)
        took = time.perf_counter() - began
        everything = milliseconds(lambda _, kept=kept: sum(1 for _ in kept.read("one")), 3)
        few = milliseconds(lambda _, kept=kept: list(kept.read("one", some)), 5)
        told(name, took, bytes_of(folder), everything, few)
    schema = pa.schema(
        {
            "id": pa.string(),
            "start": pa.int64(),
            "end": pa.int64(),
            "vector": pa.list_(pa.float16(), WIDTH),
        }
    )
    table = lancedb.connect(str(place / "rows")).create_table("spans", schema=schema)
    began = time.perf_counter()
    for part in documents():
        values = np.concatenate([one.vectors for one in part]).astype(np.float16)
        columns = [
            [one.id for one in part for _ in range(each)],
            np.concatenate([one.ranges[:, 0] for one in part]),
            np.concatenate([one.ranges[:, 1] for one in part]),
            pa.FixedSizeListArray.from_arrays(values.reshape(-1), WIDTH),
        ]
        table.add(pa.table(columns, schema=schema))
    took = time.perf_counter() - began
    table.create_index("id", config=BTree())
    wanted = ", ".join(f"'{one}'" for one in some)
    everything = milliseconds(lambda _: by_document(table.search().to_arrow()), 3)
    few = milliseconds(
        lambda _: by_document(table.search().where(f"id IN ({wanted})").to_arrow()), 5
    )
    told("LanceDB, a row a span", took, bytes_of(place / "rows"), everything, few)


def by_document(table: pa.Table) -> dict[str, np.ndarray]:
    """Rows of spans as vectors of documents, as the other two ways give them."""
    keys = np.array(table["id"].to_pylist())
    vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(len(keys), -1)
    order = np.argsort(keys, kind="stable")
    names, starts = np.unique(keys[order], return_index=True)
    parts = np.split(vectors[order].astype(np.float32), starts[1:])
    return dict(zip(names.tolist(), parts, strict=True))


def told(name: str, took: float, size: int, everything: float, few: float) -> None:
    """Print one of them."""
    print(f"  {name}: written in {took:.1f} s, {size / 1e6:,.0f} MB, ", end="")
    print(f"all read in {everything:,.0f} ms, those of 100 documents in {few:.0f} ms")


def vectors_of(draw: np.random.Generator, count: int) -> np.ndarray:
    """Of unit length."""
    made = draw.normal(size=(count, WIDTH)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def _split(made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return made[0], made[1:]


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--kinds", nargs="*", default=["lancedb", "chroma"])
    parser.add_argument("--span-documents", type=int, default=5_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spans(Path(folder), given.span_documents)
    for kind in given.kinds:
        with tempfile.TemporaryDirectory() as folder:
            measure(kind, Path(folder) / kind, given.documents, given.words)


if __name__ == "__main__":
    main()
