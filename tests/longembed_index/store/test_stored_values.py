from __future__ import annotations

import numpy as np
import pytest

from longembed_index.store.conformance import record
from longembed_index.store.stored_values import (
    StoredValueError,
    checked_units,
    checked_vectors,
    make_entry,
    read_json,
)
from longembed_index.store.vectors import pack_units

RIGHT = ("id", "title", '{"a": [1]}', "hash", [9, 7, 6, 1, 2], None)


def test_json_that_others_could_not_read_is_refused() -> None:
    for text in ["", "{", "[NaN]", "[-Infinity]", "[" * 90_000, "[" * 101 + "]" * 101]:
        with pytest.raises(ValueError, match=r"JSON|Expecting"):
            read_json(text)


def test_json_in_json_counts_as_text() -> None:
    assert read_json('["[[[[", {"a": [7]}]') == ["[[[[", {"a": [7]}]
    assert read_json('["' + "[" * 500 + '"]') == ["[" * 500]


WRONG = [
    (0, 7),
    (1, None),
    (2, "[]"),
    (2, "7"),
    (2, None),
    (3, b"hash"),
    (4, [9, 7, 8, 1, 0]),
    (4, [9, -1, -1, 1, 0]),
    (4, [9, 7.5, 6, 1, 0]),
    (4, [9, "7", 6, 1, 0]),
    (4, [9]),
    (5, '[{"where": 1, "what": "x", "count": 1}]'),
    (5, '[{"what": "x", "run": "code"}]'),
]


def test_entries_that_we_never_write_are_refused() -> None:
    for place, value in WRONG:
        assert make_entry(*RIGHT).metadata == {"a": [1]}
        with pytest.raises(StoredValueError, match="cannot be read"):
            make_entry(*RIGHT[:place], value, *RIGHT[place + 1 :])


def test_vectors_have_length_one_or_zero() -> None:
    for wrong in [(np.nan, 0), (np.inf, 0), (0.5, 0.5), (60_000, 0)]:
        right = np.array([[0, 1], [0.6, 0.8], [0, 0]], dtype=np.float32)
        assert checked_vectors(["a", "b", "c"], right) is right
        with pytest.raises(StoredValueError, match="vector of the document b"):
            checked_vectors(["a", "b"], np.array([[0, 1], wrong], dtype=np.float32))


def test_units_end_with_the_text_and_are_finite() -> None:
    units = record("a", text="a text of some length").units
    places, vectors = pack_units(units)
    assert len(checked_units("a", 21, places, vectors).counts) == 2
    wrong = [
        (20, places, vectors),
        (21, places[:-1], vectors),
        (21, b"\xff\xff\xff\xff" + places[4:], vectors),
        (21, places[:4] + b"\3" + places[5:], vectors),
        (21, places, vectors[:-2]),
        (21, places, vectors[:4] + b"\0\0\xc0\x7f" + vectors[8:]),
        (21, b"", b""),
    ]
    for characters, *data in wrong:
        with pytest.raises(StoredValueError, match="units of the document a"):
            checked_units("a", characters, *data)
