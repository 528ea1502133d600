"""What is kept between queries has a limit in bytes, and threads share it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from index_fakes import record

from longembed_index.document import Record, Units
from longembed_index.lexical import analyzer as analyzer_module
from longembed_index.lexical.analyzer import Analyzer
from longembed_index.search.cache import SentenceCache
from longembed_index.store.memory import MemoryStore

TEXT = "A short sentence stands here. " * 50


@pytest.fixture
def filled(store) -> MemoryStore:
    vector = np.ones(4, dtype=np.float32)
    store.write([record(f"d{number:03}", TEXT, vector) for number in range(64)])
    return store


def test_runs_of_many_lengths_count(filled) -> None:
    cache = SentenceCache(filled, 10_000)
    (first,) = cache.read(["d000"], "english", units=False).values()
    assert cache.read(["d000"], "english", units=False)["d000"] is first
    # Each budget of a context asks for another length.
    for words in range(1, 50):
        first.runs(words)
    assert first.bytes > 10_000
    cache.read(["d001"], "english", units=False)
    assert cache.read(["d000"], "english", units=False)["d000"] is not first


class ChangingStore(MemoryStore):
    """Has a longer text with another unit after each read of it."""

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[Record]:
        records = super().get(ids, units=units)
        self.change()
        return records

    def units(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Units]]:
        units = list(super().units(ids))
        self.change()
        return iter(units)

    def change(self) -> None:
        vector = np.ones(4, dtype=np.float32)
        text = "word " * (2 + self.generation)
        self.write([record("a", text, vector, [(0, len(text), vector)])])


def test_sentences_and_text_are_of_one_commit(store) -> None:
    changing = ChangingStore(store.info)
    changing.change()
    cache = SentenceCache(changing, 10_000)
    for units in (True, False):
        (sentences,) = cache.read(["a"], "english", units=units).values()
        assert sentences.ranges.tolist() == [[0, 5 * sentences.words[-1]]]


def test_threads_may_read_and_count_at_the_same_time(filled) -> None:
    cache = SentenceCache(filled, 20_000)
    ids = [entry.id for entry in filled.entries()]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            parts = [ids[start::8] for start in range(8)] * 5
            answers = threads.map(lambda part: cache.read(part, "english", units=False), parts)
            assert [list(answer) for answer in answers] == parts
    finally:
        sys.setswitchinterval(interval)


def test_words_have_a_limit_and_long_ones_are_not_kept(monkeypatch) -> None:
    monkeypatch.setattr(analyzer_module, "_CACHED_WORDS", 100)
    analyzer = Analyzer("english")
    long = "x" * 10_000
    for number in range(50):
        words = [f"w{number}a{other}" for other in range(10)]
        tokens = analyzer.tokens(" ".join([*words, long]))
        assert tokens.terms == [*words, long]
        assert sum(map(sys.getsizeof, analyzer._term_of_word)) < 120 * 100
