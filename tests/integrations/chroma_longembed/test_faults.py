"""Every file of a store deleted, cut or overwritten: nothing is found less without a word.

Each fault is judged by processes of their own, since damaged files can end the one that reads them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDS = 1300
"""Past the first 1,000, Chroma has vector files, and has deleted their vectors elsewhere."""

COMMON = """
import hashlib, sys
from pathlib import Path
import numpy as np
from longembed_index.errors import StoreError
from longembed_index.opening import open_store
from longembed_index.records import Record
from longembed_index.repairing import repair
from longembed_index.searching import search
from longembed_index.testing import MADE_BY
from longembed_st.coverages import Coverage, Encoded

place, step = Path(sys.argv[1]), sys.argv[2]
RECORDS = int(sys.argv[3])

def vector(text):
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    made = np.random.default_rng(seed).normal(size=32)
    return (made / np.linalg.norm(made)).astype(np.float32)

def text(number):
    return f"document number {number}, " + "with many words " * 20

def record(number):
    data = {"source": f"d{number}", "title": "t", "content_hash": "h",
            "tokens": 7, "read": 7, "windows": 1}
    return Record(f"id{number}", text(number), vector(text(number)), data)

class Model:
    provenance = MADE_BY
    def makes(self, stored): return True
    def refuse_other_vectors(self, stored, what): pass

embedded = []
def embed(texts):
    embedded.extend(texts)
    return Encoded(np.stack([vector(t) for t in texts]), [Coverage(7, 7, 1)] * len(texts))

def searched(store):
    for number in (0, 700, RECORDS - 1):
        hits = search(store, vector(text(number)), 7)
        assert len(hits) == 7, len(hits)
        assert hits[0].source == f"d{number}" and hits[0].score > 0.999, hits[0]
    assert len(search(store, vector("x"), RECORDS)) == RECORDS == len(store)
"""

STEPS = {
    "make": """
with open_store(place, Model(), write=True) as store:
    for start in range(0, RECORDS, 50):
        store.write([record(number) for number in range(start, min(start + 50, RECORDS))])
""",
    "search": """
try:
    with open_store(place) as store:
        searched(store)
    print("right")
except StoreError as error:
    print("error:", error)
""",
    "repair": """
try:
    with open_store(place, write=True) as store:
        repair(store, embed)
        assert not store.lost()
    with open_store(place) as store:
        searched(store)
    print("right", len(embedded))
except StoreError as error:
    print("error:", error)
""",
}


def step(place: Path, name: str) -> str:
    """Do something to a store in a process of its own, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", COMMON + STEPS[name], str(place), name, str(RECORDS)],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("made") / "store"
    step(place, "make")
    assert step(place, "search") == "right\n"
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
    ("data_level0.bin", "overwritten"),
    ("index_metadata.pickle", "deleted"),
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
    found = step(place, "search")
    if found == "right\n":
        return
    if name == "chroma.sqlite3":
        assert "backup" in found
        return
    assert "longembed repair" in found
    # The copy has all of them: none is embedded again.
    assert step(place, "repair") == "right 0\n"
    assert step(place, "search") == "right\n"


@pytest.mark.parametrize("name", ["longembed.vectors.sqlite3", "data_level0.bin"])
def test_a_folder_of_vectors_without_a_copy(made, tmp_path, name) -> None:
    """What neither Chroma nor the copy has is embedded again, and nothing else."""
    place = tmp_path / "store"
    shutil.copytree(made, place)
    (copy,) = place.rglob("longembed.vectors.sqlite3")
    copy.unlink()
    (file,) = place.rglob("index_metadata.pickle")
    shutil.rmtree(file.parent)
    assert "999 of the 1,300" in step(place, "search")
    assert step(place, "repair") == "right 999\n"
