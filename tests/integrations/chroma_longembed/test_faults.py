"""Every file of a store deleted, cut or overwritten: nothing is found less without a word.

Each fault is judged by processes of their own, since damaged files can end the one that reads them.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from store_steps import step

RECORDS = 1300
"""Past the first 1,000, Chroma has vector files, and has deleted their vectors elsewhere."""
RIGHT = f"right {RECORDS}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("made") / "store"
    step(place, RECORDS, "index", 0, 1)
    assert step(place, RECORDS, "search") == RIGHT
    return place


def overwrite(file: Path, where: Callable[[int], tuple[int, int]]) -> None:
    data = bytearray(file.read_bytes())
    start, end = where(len(data))
    data[start:end] = random.Random(0).randbytes(end - start)
    file.write_bytes(data)


FAULTS: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "emptied": lambda file: file.write_bytes(b""),
    "halved": lambda file: os.truncate(file, file.stat().st_size // 2),
    "lengthened": lambda file: file.write_bytes(file.read_bytes() + b"\0" * 5000),
    "overwritten": lambda file: overwrite(file, lambda size: (0, size)),
    "overwritten at the start": lambda file: overwrite(file, lambda size: (0, min(size, 64))),
    "overwritten in the middle": lambda file: overwrite(
        file, lambda size: (size // 3, size // 3 + max(1, size // 8))
    ),
}
VECTOR_FILES = (
    "data_level0.bin",
    "header.bin",
    "index_metadata.pickle",
    "length.bin",
    "link_lists.bin",
)
OTHERS = ("chroma.sqlite3", "longembed.vectors.sqlite3", "longembed.checked.json")
QUICK = {
    ("chroma.sqlite3", "overwritten in the middle"),
    ("longembed.vectors.sqlite3", "overwritten"),
}
CASES = [
    pytest.param(name, fault, marks=[] if (name, fault) in QUICK else pytest.mark.slow)
    for name in (*VECTOR_FILES, *OTHERS)
    for fault in FAULTS
]


def damage(made: Path, place: Path, name: str, fault: str) -> None:
    shutil.copytree(made, place)
    (file,) = place.rglob(name)
    FAULTS[fault](file)


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_a_damaged_file_is_right_repaired_or_named(made, tmp_path, name, fault) -> None:
    place = tmp_path / "store"
    damage(made, place, name, fault)
    found = step(place, RECORDS, "search")
    if found == RIGHT:
        return
    if name == "chroma.sqlite3":
        assert "backup" in found
        return
    assert "longembed repair" in found
    # The copy has all of them: none is embedded again.
    assert step(place, RECORDS, "repair") == "right 0\n"
    assert step(place, RECORDS, "search") == RIGHT


@pytest.mark.slow
def test_without_a_copy_what_is_lost_is_embedded_again_and_nothing_else(made, tmp_path) -> None:
    place = tmp_path / "store"
    shutil.copytree(made, place)
    (copy,) = place.rglob("longembed.vectors.sqlite3")
    copy.unlink()
    (file,) = place.rglob("index_metadata.pickle")
    shutil.rmtree(file.parent)
    found = re.search(r"([\d,]+) of the 1,300", step(place, RECORDS, "search"))
    assert found
    lost = int(found[1].replace(",", ""))
    assert 900 < lost < RECORDS
    assert step(place, RECORDS, "repair") == f"right {lost}\n"
