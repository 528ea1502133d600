"""A file of words: reading, writing, and starting again when it is damaged."""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from longembed_index.errors import StoreError
from longembed_index.lexical.tables import Settings, create_schema, has_schema, read_settings
from longembed_index.store.connections import Connections, store_error
from longembed_st.base.texts import escaped

T = TypeVar("T")


class DamagedError(StoreError):
    """A file of words cannot be read as it is, and has to be built again."""


class WordFile:
    """The SQLite file of the words of one collection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: Connections | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def settings(self) -> Settings:
        """Return what the file says of itself."""
        return self.read(read_settings)

    def is_writable(self) -> bool:
        """Return whether the file can be written and created."""
        files = [self.path.parent, *([self.path] if self.path.exists() else [])]
        return all(os.access(file, os.W_OK) for file in files)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what a function reads, all of one commit; from empty tables without a file.

        Raises:
            DamagedError: If the file is damaged.
            StoreError: If it cannot be read.
        """
        readers = self._current_readers()
        if readers is not None:
            with self._damage(), readers.borrow() as connection, _transaction(connection):
                if has_schema(connection):
                    return work(connection)
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            create_schema(connection)
            return work(connection)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Let a function write, in one transaction; creates the tables if need be.

        Raises:
            DamagedError: If the file is damaged.
            StoreError: If it cannot be written.
        """
        writers = Connections(self.path, write=True, prepare=_prepare)
        with (
            self._damage(),
            closing(writers),
            writers.borrow() as connection,
            _transaction(connection, "IMMEDIATE"),
        ):
            if not has_schema(connection):
                create_schema(connection)
            return work(connection)

    def discard(self) -> None:
        """Delete the file, so that it is built again."""
        # The log goes first: SQLite would apply it to a new file of this name.
        for suffix in ("-wal", "", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def copy_to(self, path: Path) -> None:
        """Copy what is committed.

        Raises:
            StoreError: If the file cannot be read, or the copy cannot be written.
        """
        try:
            with closing(sqlite3.connect(path)) as target:
                self.read(lambda connection: connection.backup(target))
        except sqlite3.Error as error:
            raise store_error(error, path) from error

    def _current_readers(self) -> Connections | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        identity = (status.st_dev, status.st_ino)
        if self._readers is None or self._identity != identity:
            # Another process built the file again.
            self._readers, self._identity = Connections(self.path), identity
        return self._readers

    @contextmanager
    def _damage(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            cause = error.__cause__
            # Other errors of SQLite, such as a lock, are subclasses.
            if type(cause) is sqlite3.DatabaseError:
                raise DamagedError(f"{escaped(self.path)} is damaged ({cause})") from error
            raise


_temporary_files: dict[tuple[int, Path], WordFile] = {}


def temporary_file(file: WordFile) -> WordFile | None:
    """Return what stands in for a file in this process; None if nothing does."""
    return _temporary_files.get((os.getpid(), file.path))


def create_temporary_file(file: WordFile) -> WordFile:
    """Begin a file that stands in for another in this process, in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="longembed-"))
    atexit.register(remove_folder, folder, os.getpid())
    stand_in = WordFile(folder / file.path.name)
    _temporary_files[os.getpid(), file.path] = stand_in
    return stand_in


def remove_folder(folder: Path, process: int) -> None:
    """Remove a temporary folder, if it belongs to this process and not to a parent."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "DEFERRED") -> Iterator[None]:
    """Commit when the block ends; after an error, the connection is closed and rolls back."""
    connection.execute(f"BEGIN {kind}")
    yield
    connection.execute("COMMIT")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit that is lost with the power is made again.
    connection.execute("PRAGMA synchronous = NORMAL")
