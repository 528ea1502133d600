"""Chroma's database as a file: whether it is whole, and how it is read where nothing is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chroma_longembed import copies
from chroma_longembed.notes import note, read_notes
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped

FILE = "chroma.sqlite3"

_NOTE = "database"
_LITTLE = 1_000_000
_MEMORY = "/dev/shm"
_WAY_OUT = (
    "what it held cannot be read. Restore the folder from a backup, or index into a new folder"
)


def connect(directory: Path) -> sqlite3.Connection:
    """The database, for reading only.

    Args:
        directory: The folder of the store.
    """
    return sqlite3.connect(f"{(directory / FILE).absolute().as_uri()}?mode=ro", uri=True)


def refuse_damaged(directory: Path) -> None:
    """Look through the database, unless it is as it was left.

    Args:
        directory: The folder of a store.

    Raises:
        StoreError: If the database is not there, or is damaged.
    """
    file = directory / FILE
    if not file.is_file() or not file.stat().st_size:
        if _NOTE not in read_notes(directory) and not (directory / copies.FILE).exists():
            # Whoever began it was killed before the first word.
            return
        raise StoreError(
            f"the database {FILE} in {escaped(directory)} is gone or empty; {_WAY_OUT}"
        )
    if read_notes(directory).get(_NOTE) == _state(file):
        return
    try:
        with closing(connect(directory)) as database:
            problems = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError:
        # It is locked, or on a medium that cannot be written to: that says nothing about it.
        return
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    if problems != ["ok"]:
        raise StoreError(
            f"the database {FILE} in {escaped(directory)} is damaged ({problems[0]}); {_WAY_OUT}"
        )


def note_sound(directory: Path) -> None:
    """Note how the database was left.

    Args:
        directory: The folder of a store whose database was just closed.
    """
    note(directory, _NOTE, _state(directory / FILE))


def has_room(directory: Path) -> bool:
    """Whether the little can be written that Chroma writes when it opens a database.

    Args:
        directory: The folder of a store.
    """
    there = [path for path in (directory, directory / FILE) if path.exists()]
    may_write = all(os.access(path, os.W_OK) for path in there)
    return may_write and shutil.disk_usage(directory).free > _LITTLE


@contextmanager
def readable_copy(directory: Path) -> Iterator[Path]:
    """A folder that Chroma can open in the place of one that it cannot write to.

    Args:
        directory: The folder of a store; may be on a read-only medium or a full disk.

    Yields:
        A temporary folder with a copy of the database and links to the vector files.

    Raises:
        StoreError: If there is no room for it.
    """
    size = (directory / FILE).stat().st_size
    places = [place for place in (tempfile.gettempdir(), _MEMORY) if Path(place).is_dir()]
    roomy = next((place for place in places if shutil.disk_usage(place).free > size), None)
    if roomy is None:
        raise StoreError(
            f"{escaped(directory)} cannot be written to, and to read it from a copy takes "
            f"{size / 1e6:,.0f} MB of room: name a folder that has it in the variable TMPDIR"
        )
    with tempfile.TemporaryDirectory(prefix="longembed-", dir=roomy) as copy:
        try:
            with (
                closing(connect(directory)) as source,
                closing(sqlite3.connect(Path(copy) / FILE)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot read the database in {escaped(directory)}: {error}"
            ) from error
        for folder in directory.iterdir():
            if folder.is_dir():
                (Path(copy) / folder.name).symlink_to(folder.absolute(), target_is_directory=True)
        yield Path(copy)


def _state(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
