from __future__ import annotations

import queue
import shutil
import threading
from pathlib import Path

import pytest

from longembed_index.maintain import watch

SECONDS = 120


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def changed(folder, tmp_path, monkeypatch) -> queue.Queue[set[Path]]:
    """What changes in the folder, while a thread watches it."""
    monkeypatch.setattr(watch, "SETTLED_MS", 50)
    monkeypatch.setattr(watch, "LOOK_MS", 50)
    changes: queue.Queue[set[Path]] = queue.Queue()

    def collect() -> None:
        for change in watch.changes_of([folder], tmp_path / "store"):
            changes.put(change)

    threading.Thread(target=collect, daemon=True).start()
    return changes


def write_until_noticed(file: Path, changed: queue.Queue[set[Path]]) -> None:
    """Write a file again and again: nothing tells when the system begins to watch."""
    for number in range(SECONDS * 4):
        file.write_text(str(number))
        try:
            while file.resolve() not in changed.get(timeout=0.25):
                pass
        except queue.Empty:
            continue
        return
    pytest.fail("a change was not noticed")


def wait_for(path: Path, changed: queue.Queue[set[Path]]) -> None:
    while path.resolve() not in changed.get(timeout=SECONDS):
        pass


@pytest.mark.parametrize("returns", ["at once", "later"])
def test_a_folder_that_vanishes_is_watched_when_it_comes_back(folder, changed, returns) -> None:
    write_until_noticed(folder / "a", changed)
    shutil.rmtree(folder)
    if returns == "later":
        wait_for(folder, changed)
    folder.mkdir()
    wait_for(folder, changed)
    write_until_noticed(folder / "b", changed)
