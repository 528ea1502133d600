"""Texts of many requests, read together."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from longembed_serve import batching
from longembed_serve.batching import Batcher
from longembed_serve.queues import BusyError
from longembed_st.base.coverage import Coverage, Encoded
from longembed_st.errors import InputError


class Model:
    """A vector is the length of the text; it waits for permission before it reads."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[str], str | None]] = []
        self.may = threading.Event()
        self.may.set()
        self.reading = threading.Event()

    def __call__(self, texts, role):
        self.reading.set()
        self.may.wait(10)
        self.batches.append((list(texts), role))
        if "bad" in texts:
            raise InputError("bad cannot be read")
        vectors = np.array([[len(text)] for text in texts], dtype=np.float32)
        return Encoded(vectors, [Coverage(len(text), len(text), 1) for text in texts])


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    one = Batcher(model, max_characters=1000)
    yield one
    model.may.set()
    one.close(10)


def hold(model: Model, batcher: Batcher):
    """Let the model be busy with a first text."""
    model.may.clear()
    model.reading.clear()
    (first,) = batcher.submit(["first"], None)
    assert model.reading.wait(10)
    return first


def test_requests_that_come_together_are_read_together_and_answered_in_order(model, batcher):
    first = hold(model, batcher)
    futures = [batcher.submit(["a" * n, "b" * (n + 10)], "query") for n in range(1, 6)]
    others = batcher.submit(["c"], "document")
    model.may.set()
    for n, pair in enumerate(futures, 1):
        assert [int(future.result(10)[0][0]) for future in pair] == [n, n + 10]
        assert pair[0].result()[1].tokens == n
    assert int(others[0].result(10)[0][0]) == 1
    assert first.result(10)[0] == 5
    assert [(len(texts), role) for texts, role in model.batches] == [
        (1, None),
        (10, "query"),
        (1, "document"),
    ]


def test_a_batch_has_an_end_and_long_texts_keep_no_short_one_waiting(model, monkeypatch):
    monkeypatch.setattr(batching, "BATCH_CHARACTERS", 25)
    batcher = Batcher(model, max_characters=1000)
    model.may.clear()
    (long,) = batcher.submit(["y" * 60], None)
    assert model.reading.wait(10)
    model.may.set()
    assert int(long.result(10)[0][0]) == 60
    hold(model, batcher)
    futures = batcher.submit(["x" * 10] * 2 + ["y" * 60] + ["x" * 10] * 2, None)
    model.may.set()
    assert [int(one.result(10)[0][0]) for one in futures] == [10, 10, 60, 10, 10]
    assert sorted(len(texts) for texts, _ in model.batches) == [1, 1, 1, 2, 2]
    batcher.close(10)


def test_a_text_that_cannot_be_read_costs_no_other(model, batcher):
    hold(model, batcher)
    good, bad, fine = batcher.submit(["good", "bad", "fine"], None)
    model.may.set()
    assert int(good.result(10)[0][0]) == int(fine.result(10)[0][0]) == 4
    with pytest.raises(InputError, match="bad cannot be read"):
        bad.result(10)


def test_closing_cancels_what_waits(model):
    batcher = Batcher(model, max_characters=1000)
    first = hold(model, batcher)
    waiting = batcher.submit(["a", "bb"], None)
    batcher.close(0)
    assert all(future.cancelled() for future in waiting)
    assert batcher.is_working
    with pytest.raises(BusyError):
        batcher.submit(["late"], None)
    model.may.set()
    assert first.result(10)[0] == 5
    batcher.close(10)
    assert not batcher.is_working
