"""Lists of documents by term: the same as counting, however documents come and go."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter

import numpy as np
import pytest

from longembed_index.lexical.postings import (
    STATEMENTS,
    DocumentTerms,
    add_postings,
    read_lengths,
    read_occurrences,
    read_postings,
    remove_postings,
)

TERMS = range(1, 31)


@pytest.fixture
def connection():
    connection = sqlite3.connect(":memory:")
    for statement in STATEMENTS:
        connection.execute(statement)
    yield connection
    connection.close()


def text(draw: random.Random) -> np.ndarray:
    return np.array(draw.choices(TERMS, k=draw.randrange(40)), dtype=np.int32)


def add(connection, documents: dict[int, np.ndarray]) -> None:
    add_postings(
        connection, [DocumentTerms(n, terms, len(terms)) for n, terms in documents.items()]
    )


def stored(connection) -> dict[int, dict[int, int]]:
    lists = read_postings(connection, TERMS)
    return {
        term: dict(zip(of_term.documents.tolist(), of_term.counts.tolist(), strict=True))
        for term, of_term in zip(TERMS, lists, strict=True)
    }


def counted(documents) -> dict[int, dict[int, int]]:
    counts = {number: Counter(terms.tolist()) for number, terms in documents.items()}
    return {
        term: {number: count[term] for number, count in counts.items() if count[term]}
        for term in TERMS
    }


def occurrences(connection, terms, numbers) -> list[tuple[int, ...]]:
    columns = read_occurrences(connection, terms, np.array(numbers, dtype=np.int64))
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_documents_come_and_go(connection) -> None:
    draw = random.Random(0)
    documents: dict[int, np.ndarray] = {}
    # Some numbers are at the end of a block, some come back.
    free = [*range(1, 40), *range(65_500, 65_580)]
    for _ in range(80):
        if documents and draw.random() < 0.4:
            gone = draw.sample(sorted(documents), min(3, len(documents)))
            remove_postings(connection, [(number, documents.pop(number)) for number in gone])
            free += gone
        else:
            new = {free.pop(draw.randrange(len(free))): text(draw) for _ in range(2)}
            add(connection, new)
            documents |= new
        assert stored(connection) == counted(documents)
        some = draw.sample(sorted(documents), len(documents) // 2)
        assert occurrences(connection, [4, 9], some) == sorted(
            (number, [4, 9].index(term), position)
            for number in some
            for position, term in enumerate(documents[number].tolist())
            if term in (4, 9)
        )
    lengths = dict(zip(*(column.tolist() for column in read_lengths(connection)), strict=True))
    assert lengths == {number: len(terms) for number, terms in documents.items()}
    remove_postings(connection, list(documents.items()))
    for table in ("segments", "postings"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_segments_stay_few(connection) -> None:
    draw = random.Random(1)
    documents = {number: text(draw) for number in range(1, 301)}
    for number, terms in documents.items():
        add(connection, {number: terms})
    assert stored(connection) == counted(documents)
    (segments,) = connection.execute("SELECT count(*) FROM segments").fetchone()
    assert segments < 32


@pytest.mark.parametrize("count", [255, 256, 70_000])
def test_counts_and_positions_of_any_size(connection, count) -> None:
    long = np.append(np.full(count, 5, dtype=np.int32), np.int32(6))
    documents = {1: long[-3:], 2: long, 3: np.array([6], dtype=np.int32)}
    for number, terms in documents.items():
        add(connection, {number: terms})
    for number in range(4, 20):
        # So that segments are joined, of which some need wider positions.
        add(connection, {number: np.array([6], dtype=np.int32)})
    assert stored(connection)[5] == {1: 2, 2: count}
    assert occurrences(connection, [5], [2]) == [(2, 0, position) for position in range(count)]
    assert occurrences(connection, [6], [1, 2, 3]) == [(1, 0, 2), (2, 0, count), (3, 0, 0)]
    remove_postings(connection, [(2, long)])
    assert stored(connection)[5] == {1: 2}
    assert occurrences(connection, [6], [1, 2, 3]) == [(1, 0, 2), (3, 0, 0)]
