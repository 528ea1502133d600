"""A copy of Chroma's index files, taken before it overwrites them, so that a kill loses nothing.

Chroma keeps the newest vectors in its SQLite database, which survives a kill. Every thousand writes
it moves them to index files, which it overwrites in place; killed meanwhile, it leaves files that
nobody can read, it least of all. The copy has the files as they were before, and whatever came
later is still in the database then: Chroma clears it away only after the files are written.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

DATABASE = "chroma.sqlite3"
FOLDER = "longembed.index"

_POSITIONS = """
    SELECT segments.id, COALESCE(max_seq_id.seq_id, 0) FROM segments
    LEFT JOIN max_seq_id ON max_seq_id.segment_id = segments.id
    WHERE segments.scope = 'VECTOR'
"""
"""How far each index has come: the number of the last write that its files hold."""


class IndexCopy:
    """The copy that belongs to one store. All calls need the store's lock.

    It holds one folder for each index, `<index>-<position>`. Copies under construction end in
    `.part` and do not count.
    """

    def __init__(self, directory: Path) -> None:
        """Look at nothing yet.

        Args:
            directory: The store's folder.
        """
        self._store = directory
        self._folder = directory / FOLDER

    def restore(self) -> None:
        """Put back the files of every index that was being overwritten when a process ended.

        To be called before Chroma opens the store.
        """
        for index, position in self._positions().items():
            copy, live = self._copy_of(index, position), self._store / index
            # Overwritten to the end, an index has another position than its copy.
            if copy.is_dir() and _signature(copy) != _signature(live):
                part = self._folder / f"{index}.part"
                _copy(copy, part)
                # Killed between these two, there is no index, which differs from its copy, too.
                shutil.rmtree(live, ignore_errors=True)
                part.rename(live)

    def update(self) -> None:
        """Copy every index that has been overwritten since; to be called after each write."""
        positions = self._positions()
        wanted = {self._copy_of(*item) for item in positions.items()}
        for index, position in positions.items():
            copy, live = self._copy_of(index, position), self._store / index
            if not copy.is_dir() and live.is_dir():
                part = self._folder / f"{index}.part"
                _copy(live, part)
                part.rename(copy)
        for old in self._folder.iterdir() if self._folder.is_dir() else ():
            if old not in wanted:
                shutil.rmtree(old)

    def _copy_of(self, index: str, position: int) -> Path:
        return self._folder / f"{index}-{position}"

    def _positions(self) -> dict[str, int]:
        """The position of each index; empty for a database that is not laid out as expected."""
        file = self._store / DATABASE
        if not file.is_file():
            return {}
        try:
            with closing(
                sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
            ) as database:
                return {str(index): int(seq) for index, seq in database.execute(_POSITIONS)}
        except sqlite3.Error:
            return {}


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(source, target)


def _signature(folder: Path) -> set[tuple[str, int, int]]:
    """Names, sizes and times of the files, which a copy shares with its original."""
    files = folder.iterdir() if folder.is_dir() else ()
    return {(f.name, (s := f.stat()).st_size, s.st_mtime_ns) for f in files}
