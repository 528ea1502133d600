"""Sentences are kept between queries, within a limit; transcripts are told from other texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from index_fakes import record

from longembed_index.document import Document, Record, Units
from longembed_index.lexical import analyzer as analyzer_module
from longembed_index.lexical.analyzer import Analyzer
from longembed_index.search.sentences import SentenceCache, is_transcript, read_sentences
from longembed_index.store.memory import MemoryStore

TEXT = "A short sentence stands here. " * 50
MEETING = "Chair: Good morning.\nDr. Ng (Leeds): Thank you.\n\n" * 5
PLAY = "[Anna] : Who is there?\n(Somebody knocks.)\n[Bert] : Nobody.\n" * 5
WRAPPED = "Mr. Fox: I thank the Member\nfor what was said\nabout it.\nMs. Lee: Hear, hear.\n\n" * 5
CHINESE = "主席：早上好。\n王先生：谢谢。\n" * 5


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


def test_speakers_have_many_turns() -> None:
    for text in [MEETING, PLAY, WRAPPED, CHINESE]:
        assert is_transcript(text)


OTHERS = [
    "",
    "The board met.\n" * 20,
    "Note: see below.\n\nThe minutes were read, and nobody had anything to add.\n" * 20,
    MEETING + "The minutes were read, and nobody had anything to add to them.\n" * 20,
    "".join(f"Entry {number}: some words\n" for number in range(50)),
    "name: Anna\nsite: https://example.org\n" * 20,
    '"Name": "Anna",\n' * 20,
    "Name: a lamp\nPrice: 3 EUR\nUse: It suits every home.\n\n" * 20,
    "if x:\n    y = 1\n" * 20,
    "12:30 lunch\n" * 20,
]


def test_other_lines_with_colons_are_not_turns() -> None:
    for text in OTHERS:
        assert not is_transcript(text)


def test_a_page_header_with_a_colon_is_not_a_speaker() -> None:
    page = "Step back: a report\nThe board met in the town hall.\nNobody was absent.\n"
    for text, is_meeting in ((page * 5, True), ("\f".join([page] * 5), False)):
        sentences = read_sentences(Document("a.txt", text), None, "english")
        assert sentences.is_transcript == is_meeting
