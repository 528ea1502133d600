"""Texts of many requests, read together."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import numpy as np
import pytest

from longembed_serve import batching
from longembed_serve.batching import Batcher, BusyError
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
        self.may.wait(300)
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
    one.close()


def hold(model: Model, batcher: Batcher):
    """Let the model be busy with a first text."""
    model.may.clear()
    model.reading.clear()
    (first,) = batcher.submit(["first"], None)
    assert model.reading.wait(300)
    return first


def test_requests_that_come_together_are_read_together_and_answered_in_order(model, batcher):
    first = hold(model, batcher)
    futures = [batcher.submit(["a" * n, "b" * (n + 10)], "query") for n in range(1, 6)]
    others = batcher.submit(["c"], "document")
    model.may.set()
    for n, pair in enumerate(futures, 1):
        assert [int(future.result(300)[0][0]) for future in pair] == [n, n + 10]
        assert pair[0].result()[1].tokens == n
    assert int(others[0].result(300)[0][0]) == 1
    assert first.result(300)[0] == 5
    assert [(len(texts), role) for texts, role in model.batches] == [
        (1, None),
        (10, "query"),
        (1, "document"),
    ]


def test_a_batch_has_an_end(model, batcher, monkeypatch):
    monkeypatch.setattr(batching, "BATCH_CHARACTERS", 25)
    hold(model, batcher)
    futures = batcher.submit(["x" * 10] * 4 + ["y" * 60], None)
    model.may.set()
    assert [int(one.result(300)[0][0]) for one in futures] == [10, 10, 10, 10, 60]
    assert [len(texts) for texts, _ in model.batches] == [1, 2, 2, 1]


def test_a_text_that_cannot_be_read_costs_no_other(model, batcher):
    hold(model, batcher)
    good, bad, fine = batcher.submit(["good", "bad", "fine"], None)
    model.may.set()
    assert int(good.result(300)[0][0]) == int(fine.result(300)[0][0]) == 4
    with pytest.raises(InputError, match="bad cannot be read"):
        bad.result(300)


def test_what_nobody_waits_for_is_not_read(model, batcher):
    hold(model, batcher)
    gone, here = batcher.submit(["gone", "here"], None)
    assert gone.cancel()
    model.may.set()
    here.result(300)
    with pytest.raises(CancelledError):
        gone.result(300)
    assert all("gone" not in texts for texts, _ in model.batches)


def test_too_much_is_refused_and_a_long_text_alone_is_not(model, batcher):
    hold(model, batcher)
    batcher.submit(["z" * 5000], None)
    with pytest.raises(BusyError) as refused:
        batcher.submit(["more"], None)
    assert refused.value.seconds >= 1
    assert batcher.waiting == 1


def test_closing_reads_what_was_accepted_and_takes_nothing_more(model):
    batcher = Batcher(model, max_characters=1000)
    hold(model, batcher)
    futures = batcher.submit(["a", "bb"], None)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    model.may.set()
    closing.join(300)
    assert [int(one.result(0)[0][0]) for one in futures] == [1, 2]
    with pytest.raises(BusyError):
        batcher.submit(["late"], None)
