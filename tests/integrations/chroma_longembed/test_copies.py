from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from chroma_longembed.copies import FILE, VectorCopies
from longembed_index.testing import UNICODE, record

from longembed_index.errors import StoreError


@pytest.fixture
def copies(tmp_path) -> VectorCopies:
    return VectorCopies(tmp_path)


def got(copies: VectorCopies, collection: str, **texts: str) -> dict[str, list[float]]:
    return {key: vector.tolist() for key, vector in copies.get(collection, texts).items()}


def test_vectors_come_back_exactly(copies) -> None:
    vector = np.random.default_rng(0).normal(size=384).astype(np.float32)
    copies.put("one", [record("a", *vector)])
    (found,) = copies.get("one", {"a": "a text", "b": "a text"}).values()
    assert found.tobytes() == vector.tobytes()


def test_collections_are_apart_and_later_vectors_win(copies) -> None:
    copies.put("one", [record("a", 1, 0, 0), record("b", 0, 0, 1)])
    copies.put("two", [record("a", 0, 1, 0)])
    copies.put("one", [record("a", 1, 1, 0)])
    assert got(copies, "one", a="a text", b="a text") == {"a": [1, 1, 0], "b": [0, 0, 1]}
    assert got(copies, "two", a="a text") == {"a": [0, 1, 0]}
    copies.delete("one", ["a", "missing"])
    assert copies.ids("one") == {"b"}
    copies.drop("two")
    assert copies.ids("two") == set()
    assert copies.ids("one") == {"b"}


def test_a_vector_of_another_text_is_not_given(copies) -> None:
    copies.put("one", [record("a", text="as it was")])
    assert got(copies, "one", a="as it is now") == {}
    assert list(got(copies, "one", a="as it was")) == ["a"]


@pytest.mark.parametrize("key", [*UNICODE, "with\0NUL", "\ud800"])
def test_ids_may_be_any_text(copies, key) -> None:
    copies.put("one", [record(key, 1, 2, 3)])
    assert copies.ids("one") == {key}
    assert list(copies.get("one", {key: "a text"})) == [key]


def test_a_copy_that_has_changed_is_not_given(copies, tmp_path) -> None:
    copies.put("one", [record("a", 1, 2, 3), record("b", 1, 2, 3)])
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("UPDATE vectors SET vector = zeroblob(12) WHERE id = CAST('a' AS BLOB)")
    assert list(got(copies, "one", a="a text", b="a text")) == ["b"]


@pytest.mark.parametrize("junk", [b"junk" * 5000, b"SQLite format 3\0" + b"junk" * 5000])
def test_a_damaged_file_is_begun_anew(copies, tmp_path, junk) -> None:
    copies.put("one", [record("a")])
    (tmp_path / FILE).write_bytes(junk)
    assert copies.ids("one") == set()
    assert got(copies, "one", a="a text") == {}
    copies.put("one", [record("b")])
    assert copies.ids("one") == {"b"}


def test_without_a_file_there_are_no_copies_and_none_is_made(copies, tmp_path) -> None:
    assert copies.ids("one") == set()
    assert got(copies, "one", a="a text") == {}
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_an_error_of_ours(tmp_path) -> None:
    with pytest.raises(StoreError, match=FILE):
        VectorCopies(tmp_path / "missing").put("one", [record("a")])
