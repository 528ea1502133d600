"""Stores on media that cannot be written to, or have no room left, are searched all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from longembed_index.opening import open_store, read_provenance
from longembed_index.testing import MADE_BY, record

from chroma_longembed import database
from chroma_longembed.folders import ChromaFolders
from longembed_index.errors import StoreError

RECORDS = 1300


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A store with vector files."""
    directory = tmp_path_factory.mktemp("made") / "store"
    directory.mkdir()
    with ChromaFolders().open(directory, "documents", MADE_BY) as store:
        for start in range(0, RECORDS, 100):
            keys = range(start, start + 100)
            store.write([record(f"{key}", key, 1, RECORDS - key) for key in keys])
    return directory


@pytest.fixture
def mounted(tmp_path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "mounted"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(place)]
    if (
        shutil.which("mount") is None
        or subprocess.run(command, capture_output=True, check=False).returncode
    ):
        pytest.skip("this user may not mount a disk")
    yield place
    unmount(place)


def unmount(place: Path) -> None:
    """Once Chroma's threads have let go of its database, some moments after it was closed."""
    for _ in range(100):
        if not subprocess.run(["umount", str(place)], check=False).returncode:
            return
        time.sleep(0.1)
    raise AssertionError(f"something holds {place} open")


def assert_searchable(directory: Path) -> None:
    found = read_provenance(directory)
    assert found is not None
    assert found.fingerprint == MADE_BY.fingerprint
    with open_store(directory) as store:
        assert len(store) == RECORDS
        assert store.search([700, 1, 600], 3)[0].id == "700"
        assert len(store.search([1, 1, 1], RECORDS)) == RECORDS


def copied(made: Path, place: Path) -> Path:
    shutil.copytree(made, place / "store")
    return place / "store"


def test_a_read_only_medium(made, mounted) -> None:
    directory = copied(made, mounted)
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(OSError, match="Read-only"):
        (directory / "x").touch()
    assert_searchable(directory)


def test_a_full_disk(made, mounted) -> None:
    directory = copied(made, mounted)
    with pytest.raises(OSError, match="No space"):
        (mounted / "filling").write_bytes(b"x" * 20_000_000)
    assert not shutil.disk_usage(mounted).free
    assert_searchable(directory)
    with pytest.raises(StoreError), ChromaFolders().open(directory, "documents", MADE_BY) as store:
        store.write([record("new", text="x" * 100_000)])
    (mounted / "filling").unlink()
    assert_searchable(directory)


def refuse(monkeypatch) -> None:
    """As a medium would that cannot be written to."""
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and may(path, mode))


def test_what_chroma_cannot_open_is_read_from_a_copy(made, tmp_path, monkeypatch) -> None:
    directory = copied(made, tmp_path)
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    refuse(monkeypatch)
    assert_searchable(directory)
    after = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    assert after == before


def test_a_place_without_room_is_named(made, tmp_path, monkeypatch) -> None:
    directory = copied(made, tmp_path)
    refuse(monkeypatch)
    monkeypatch.setattr(database.shutil, "disk_usage", lambda place: SimpleNamespace(free=0))
    with pytest.raises(StoreError, match="TMPDIR"):
        assert_searchable(directory)


def test_the_database_is_looked_through_once(made, tmp_path, monkeypatch) -> None:
    directory = copied(made, tmp_path)
    looked = []
    connect = database.connect
    monkeypatch.setattr(database, "connect", lambda place: looked.append(place) or connect(place))
    os.utime(directory / database.FILE)
    for _ in range(2):
        database.refuse_damaged(directory)
    database.note_sound(directory)
    before = len(looked)
    database.refuse_damaged(directory)
    assert before == len(looked) == 2
    os.utime(directory / database.FILE)
    database.refuse_damaged(directory)
    assert len(looked) == 3
