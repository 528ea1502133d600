"""A search gives what reading everything in loops gives."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from reference.search import search, search_large

from longembed_index.document import Document, Record, Units
from longembed_index.lexical.index import WordIndex
from longembed_index.search import searcher
from longembed_index.search.dense import BUDGET
from longembed_index.search.question import Question
from longembed_index.search.ranking import MODES, Mode, Ranking
from longembed_index.search.searcher import Searcher
from longembed_index.store.filters import matches
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings

WORDS = [f"w{number:02}" for number in range(30)]
INFO = StoreInfo(
    Provenance(ModelSettings(model_name="some/model"), "one"), units=True, language="none"
)
DIMENSIONS = 6


def unit(draw: random.Random, *shape: int) -> np.ndarray:
    vectors = np.array([draw.gauss(0, 1) for _ in range(int(np.prod(shape)))]).reshape(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_records(draw: random.Random) -> list[Record]:
    records: list[Record] = []
    for number in range(draw.randrange(1, 14)):
        document_id = f"{draw.randrange(1000):03} {number}"
        metadata = {"year": draw.randrange(2018, 2021)}
        if records and draw.random() < 0.25:
            copied = draw.choice(records)
            document = Document(document_id, copied.document.text, metadata)
            records.append(Record(document, copied.vector, "", Coverage(9, 9, 1), copied.units))
            continue
        lengths = draw.choice([[1], [5], [7] * 9, [40, 3, 9] * 3, [20] * 30])
        words = WORDS[: draw.choice([5, 30])]
        sentences = [" ".join(draw.choices(words, k=length)) + "." for length in lengths]
        ends = list(itertools.accumulate(len(sentence) + 1 for sentence in sentences))
        ranges = np.array(
            [(end - len(s) - 1, end - 1) for s, end in zip(sentences, ends, strict=True)]
        )
        counts = np.array([draw.randrange(1, 9) for _ in sentences])
        units = Units(ranges, counts, 3 * unit(draw, len(ranges), DIMENSIONS))
        document = Document(document_id, " ".join(sentences), metadata)
        of_document = (document, unit(draw, DIMENSIONS), "", Coverage(9, 9, 1))
        records.append(Record(*of_document, units if draw.random() < 0.7 else None))
    return records


@pytest.mark.parametrize("mode", MODES)
def test_a_search_gives_what_loops_give(tmp_path_factory, mode) -> None:
    for seed in range(12):
        assert_as_loops_give(tmp_path_factory.mktemp("words"), mode, seed)


def assert_as_loops_give(folder: Path, mode: Mode, seed: int) -> None:
    draw = random.Random(seed)
    records = random_records(draw)
    store, words = MemoryStore(INFO), WordIndex(folder, "documents")
    store.write(records)
    words.update(store)
    vector = unit(draw, DIMENSIONS)
    some_text = draw.choice(records).document.text.split(".")[0].split()
    for phrases in ([], [" ".join(some_text[:2])]):
        question = Question(" ".join([*draw.choices(WORDS, k=4), *phrases]), tuple(phrases))
        for year in (None, 2019):
            k, weight = draw.randrange(1, 8), draw.random()
            expected = search(
                records,
                question.text,
                phrases,
                vector,
                k,
                mode,
                weight,
                lambda record, year=year: year in (None, record.document.metadata["year"]),
            )
            for budget in (BUDGET, 0):
                hits = Searcher(store, lambda: words, budget=budget).search(
                    question,
                    3 * vector,
                    k,
                    where=None if year is None else {"year": year},
                    ranking=Ranking(mode=mode, weight=weight),
                )
                assert_equal(hits, expected)


def assert_equal(hits, expected) -> None:
    assert [hit.document.id for hit in hits] == [answer.id for answer in expected]
    for hit, answer in zip(hits, expected, strict=True):
        assert hit.score == pytest.approx(answer.score, abs=1e-5)
        assert hit.scores == pytest.approx(answer.parts, abs=1e-5)
        assert list(hit.copies) == answer.copies
        text = hit.document.text
        for passage in hit.passages:
            assert passage.text == text[passage.start : passage.end]
            assert passage.start <= passage.sentence[0] < passage.sentence[1] <= passage.end


@pytest.mark.parametrize("mode", MODES)
def test_candidates_grow_until_there_are_enough(tmp_path_factory, monkeypatch, mode) -> None:
    for seed in range(8):
        assert_enough(tmp_path_factory.mktemp("words"), monkeypatch, mode, seed)


def assert_enough(folder: Path, monkeypatch: pytest.MonkeyPatch, mode: Mode, seed: int) -> None:
    draw = random.Random(seed)
    least, least_read = draw.choice([(1, 1), (3, 2), (2, 20)])
    monkeypatch.setattr(searcher, "FEW", 0)
    monkeypatch.setattr("longembed_index.search.query._LEAST", least)
    monkeypatch.setattr("longembed_index.search.query._LEAST_READ", least_read)
    # Also the ways for filters that many documents meet, and with every term of the question.
    monkeypatch.setattr("longembed_index.search.dense.MANY", 1)
    monkeypatch.setattr("longembed_index.lexical.tables.LOOKED_UP", 1)
    monkeypatch.setattr("longembed_index.lexical.tables._LISTS", 100)
    by_id = {each.document.id: each for each in [*random_records(draw), *random_records(draw)]}
    records = list(by_id.values())
    store, words = MemoryStore(INFO), WordIndex(folder, "documents")
    store.write(records)
    words.update(store)
    vector = unit(draw, DIMENSIONS)
    question = " ".join(draw.choices(WORDS, k=4))
    for k in (1, 3, 20):
        for where in ({}, {"year": {"lt": 2020}}, {"year": 2018, "read": "9"}):
            weight = draw.random()
            expected = search_large(
                records,
                question,
                vector,
                k,
                mode,
                weight,
                lambda record, where=where: matches({**record.document.metadata, "read": 9}, where),
                least,
                least_read,
            )
            hits = Searcher(store, lambda: words).search(
                Question(question),
                vector,
                k,
                where=where,
                ranking=Ranking(mode=mode, weight=weight),
            )
            assert_equal(hits, expected)
