"""Lists of documents by term: the same as counting, however documents come and go."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter

import numpy as np
import pytest
from reference.bm25 import bm25

from longembed_index.lexical.postings import (
    STATEMENTS,
    add_postings,
    read_postings,
    remove_postings,
    score_postings,
)
from longembed_index.lexical.scores import idf

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


def stored(connection) -> dict[int, dict[int, float]]:
    lists = read_postings(connection, TERMS)
    return {
        term: dict(zip(of_term.documents.tolist(), of_term.counts.tolist(), strict=True))
        for term, of_term in zip(TERMS, lists, strict=True)
    }


def counted(documents) -> dict[int, dict[int, float]]:
    counts = {number: Counter(terms.tolist()) for number, terms in documents.items()}
    return {
        term: {number: count[term] for number, count in counts.items() if count[term]}
        for term in TERMS
    }


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
            new = [(free.pop(draw.randrange(len(free))), text(draw)) for _ in range(2)]
            add_postings(connection, new)
            documents |= dict(new)
        assert stored(connection) == counted(documents)
    remove_postings(connection, list(documents.items()))
    for table in ("segments", "postings"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_segments_stay_few(connection) -> None:
    draw = random.Random(1)
    documents = {number: text(draw) for number in range(1, 301)}
    for document in documents.items():
        add_postings(connection, [document])
    assert stored(connection) == counted(documents)
    (segments,) = connection.execute("SELECT count(*) FROM segments").fetchone()
    assert segments < 32


def test_scores_are_those_of_the_formula(connection) -> None:
    draw = random.Random(2)
    documents = {number: text(draw) for number in range(1, 60)}
    add_postings(connection, list(documents.items()))
    query = [3, 7, 29]
    containing = [float(len(counted(documents)[term])) for term in query]
    weights = idf(np.array(containing), len(documents))
    average = sum(map(len, documents.values())) / len(documents)
    numbers, scores = score_postings(connection, query, weights, average)
    expected = bm25(query, [terms.tolist() for terms in documents.values()])
    every = np.zeros(len(documents))
    every[numbers - 1] = scores
    np.testing.assert_allclose(every, expected, atol=1e-12)
    assert (scores > 0).all()


def test_counts_beyond_a_byte_are_cut(connection) -> None:
    add_postings(connection, [(1, np.full(70_000, 5, dtype=np.int32))])
    (postings,) = read_postings(connection, [5])
    assert postings.counts.tolist() == [255]
    assert score_postings(connection, [], np.zeros(0), 1.0)[0].tolist() == []
