"""What ends its process is given up; what was in the same batch is not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from longembed_ray import attempts
from longembed_ray.attempts import MOST_ATTEMPTS, Attempts, EmbedWithAttempts


class Died(BaseException):
    """Stands for the end of the process."""


class Embedder:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, rows: pa.Table) -> pa.Table:
        wanted = [row["text"] for row in rows.to_pylist() if row["error"] is None]
        self.batches.append(wanted)
        if "deadly" in wanted:
            raise Died
        return rows


@pytest.fixture
def embedder(monkeypatch) -> Embedder:
    embedder = Embedder()
    monkeypatch.setattr(attempts, "EmbedDocuments", lambda: embedder)
    return embedder


def table(*texts: str) -> pa.Table:
    errors = pa.array([None] * len(texts), pa.string())
    return pa.table({"id": [f"id of {text}" for text in texts], "text": texts, "error": errors})


def call_until_done(shared: Attempts, rows: pa.Table) -> tuple[pa.Table, int]:
    deaths = 0
    while True:
        try:
            return EmbedWithAttempts(shared, threads=1)(rows), deaths
        except Died:
            deaths += 1
            assert deaths < 20


def test_a_deadly_document_is_given_up_and_its_neighbours_are_embedded(embedder) -> None:
    rows, deaths = call_until_done(Attempts(), table("first", "deadly", "last"))
    first, deadly, last = rows["error"].to_pylist()
    assert (first, last) == (None, None)
    assert f"ended the process that embeds it {MOST_ATTEMPTS} times" in deadly
    # Once with its batch, then alone.
    assert deaths == 1 + MOST_ATTEMPTS
    assert embedder.batches[-3:] == [["first"], [], ["last"]]


def test_what_succeeds_is_embedded_together_and_forgotten(embedder) -> None:
    shared = Attempts()
    for _ in range(2):
        call_until_done(shared, table("first", "last"))
    assert embedder.batches == [["first", "last"]] * 2


def test_a_batch_whose_process_was_killed_once_is_embedded_row_by_row(embedder) -> None:
    shared, rows = Attempts(), table("first", "last")
    shared.begin(tuple(rows["id"].to_pylist()))
    result, _ = call_until_done(shared, rows)
    assert result.to_pylist() == rows.to_pylist()
    assert embedder.batches == [["first"], ["last"]]
