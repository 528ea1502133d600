"""Vectors in a file."""

from __future__ import annotations

import numpy as np
import pytest

from longembed_bench.vectors import VectorFile
from longembed_st.base.coverage import Coverage
from longembed_st.errors import InputError

TEXTS = ["ban den fan " * 40, "gan", "kan lan", "man nan pan ran " * 30]


class Recorder:
    """Computes vectors of a text's length, and notes which texts it was given."""

    def __init__(self, length: int = 1) -> None:
        self.texts: list[str] = []
        self.length = length

    def __call__(self, texts):
        self.texts += texts
        for text in texts:
            numbers = np.full((self.length, 3), len(text), dtype=np.float32)
            yield numbers, Coverage(len(text), min(len(text), 64), 1)


def test_nothing_is_computed_twice(tmp_path) -> None:
    compute, path = Recorder(), tmp_path / "new" / "vectors.sqlite3"
    first = VectorFile(path).read("a", TEXTS[:3], compute)
    assert compute.texts == TEXTS[:3]
    calls = []
    again = VectorFile(path).read(
        "a", [*reversed(TEXTS), TEXTS[3]], compute, lambda: calls.append(1)
    )
    assert compute.texts == TEXTS
    assert len(calls) == 5
    for before, after in zip(first, again[1:4][::-1], strict=True):
        np.testing.assert_array_equal(before.vectors, after.vectors)
        assert (before.tokens, before.read) == (after.tokens, after.read)
        assert before.seconds == after.seconds
    assert [text.vectors[0, 0] for text in again] == [480, 7, 3, 480, 480]
    assert [text.read for text in again] == [64, 7, 3, 64, 64]


def test_kinds_are_kept_apart(tmp_path) -> None:
    file = VectorFile(tmp_path / "vectors.sqlite3")
    one, many = Recorder(), Recorder(length=5)
    file.read("a", TEXTS, one)
    (spans, *_) = file.read("b", TEXTS, many)
    assert spans.vectors.shape == (5, 3)
    assert one.texts == many.texts == TEXTS
    assert file.read("a", TEXTS[:1], one)[0].vectors.shape == (1, 3)


def test_the_time_of_a_group_is_shared_by_tokens(tmp_path) -> None:
    read = VectorFile(tmp_path / "vectors.sqlite3").read("a", TEXTS, Recorder())
    for text in read:
        assert text.seconds / text.read == pytest.approx(read[0].seconds / read[0].read)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "vectors.sqlite3"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match=r"vectors\.sqlite3 cannot be used .*: delete it"):
        VectorFile(path)
