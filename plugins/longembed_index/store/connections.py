"""SQLite connections that threads share, that survive a fork, and whose errors are ours."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from longembed_index.errors import StoreError, StoreReplacedError
from longembed_index.store.stored_values import StoredValueError
from longembed_st.base.fork_gate import fork_gate
from longembed_st.base.texts import escaped

BUSY_SECONDS = 10.0
"""How long a statement waits for a file that another process has locked."""

_WAYS_OUT = {
    "locked": "is locked by another program. Try again when that program is done",
    "disk is full": "cannot grow: the disk is full. Nothing of this write is stored; make room "
    "and run it again",
    "readonly": "cannot be written. Check the permissions of the file and its folder",
    "malformed": "is damaged. Restore it from a copy, or index the documents into a new folder",
    "not a database": "is not a SQLite file, or its beginning is damaged. Restore it from a copy, "
    "or name another folder",
    "unable to open": "cannot be opened. Check that it exists, and the permissions of its folder",
    "interrupted": "takes more steps to read than its size explains: it is damaged, or was made to "
    "take for ever. Restore it from a copy, or index the documents into a new folder",
    "disk I/O": "cannot be read or written: the disk is full, or reports an error. Make room or "
    "check the disk, and run it again",
}
"""By a part of SQLite's message: Python 3.10 does not give the error's code."""


_STEPS_AT_ONCE = 1_000_000
_STEPS_PER_BYTE, _LEAST_STEPS = 20, 100_000_000
"""So many steps SQLite may take for one use of a connection, by the size of the file: reading all
of it takes fewer, and a page of a crafted file can name itself again and again."""


_NO_ROOM = ("disk I/O", "disk is full")
"""Without room for the files beside the one that is read or written, the first is reported."""


class DiskError(StoreError):
    """A disk is full, or reports an error."""


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the error of ours that says what an error of SQLite means for a file."""
    for part, meaning in _WAYS_OUT.items():
        if part in str(error):
            kind = DiskError if part in _NO_ROOM else StoreError
            return kind(f"{escaped(path)} {meaning}")
    return StoreError(f"cannot read or write {escaped(path)}: {error}")


class Connections:
    """Connections to one SQLite file, each used by one thread at a time.

    Args:
        path: The file.
        write: Whether they can write, and create the file; otherwise they are opened read-only,
            and the file may be on a medium that cannot be written.
        prepare: Called with each new connection, for instance to look at the schema.
    """

    def __init__(
        self,
        path: Path,
        *,
        write: bool = False,
        prepare: Callable[[sqlite3.Connection], None] = lambda connection: None,
    ) -> None:
        self.path = path
        self.write = write
        self._prepare = prepare
        self._idle: list[sqlite3.Connection] = []
        self._identity: tuple[int, int] | None = None
        self._unchanged: tuple[int, ...] | None = None
        self._closed = False
        fork_gate.add(self)

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the length of a `with` block, which must not fork.

        What is not committed in the block is rolled back.

        Raises:
            StoreError: In place of any error of SQLite; and with the name of the file if a value
                in it is damaged.
        """
        with fork_gate.use():
            try:
                connection = self._take()
                self._limit_steps(connection)
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error
            try:
                yield connection
            except sqlite3.Error as error:
                connection.close()
                raise store_error(error, self.path) from error
            except StoredValueError as error:
                connection.close()
                raise StoreError(f"{escaped(self.path)}: {error}") from error
            except BaseException:
                connection.close()
                raise
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def close(self) -> None:
        """Close all connections; a writer first moves what is in the log into the file."""
        try:
            identity = self._find_identity()
            if self.write and not self._closed and identity and identity == self._identity:
                with self.borrow() as connection:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            self._closed = True
            with fork_gate.use():
                self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that no thread uses."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError(f"{escaped(self.path)} was closed. Open the store again")
        self._look_at_file()
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _limit_steps(self, connection: sqlite3.Connection) -> None:
        """Let SQLite give up when it has taken more steps than a file of this size needs."""
        size = _size(self.path) + self._log_size()
        left = (_LEAST_STEPS + _STEPS_PER_BYTE * size) // _STEPS_AT_ONCE

        def count() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        connection.set_progress_handler(count, _STEPS_AT_ONCE)

    def _look_at_file(self) -> None:
        """Refuse a file that is not the one that was opened first."""
        # Asked for before the file: another thread may create it in between.
        known = self._identity
        identity = self._find_identity()
        if known is None:
            self._identity = identity or self._identity
        elif identity is None:
            raise StoreError(
                f"{escaped(self.path)} was deleted while it was open. Restore it from a copy, or "
                "index the documents again"
            )
        elif identity != known:
            raise StoreReplacedError(
                f"{escaped(self.path)} was replaced by another file while it was open. Open the "
                "store again"
            )
        if self._unchanged is not None and self._unchanged != self._contents():
            self.close_idle()

    def _find_identity(self) -> tuple[int, int] | None:
        """Return what tells the file from others; None if it does not exist."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _open(self) -> sqlite3.Connection:
        self._unchanged = None
        is_writable = os.access(self.path.parent, os.W_OK)
        if not (self.write or is_writable or self._log_size() or self._journal_size()):
            return self._open_as_unchanging()
        try:
            if not self.write and is_writable and self._journal_size():
                self._finish_first_write()
            return self._connect("rwc" if self.write else "ro")
        except sqlite3.OperationalError as error:
            if self.write:
                raise
            has_unfinished = self._log_size() or self._journal_size()
            if any(part in str(error) for part in _NO_ROOM) and not has_unfinished:
                return self._open_as_unchanging()
            if is_writable:
                raise
            raise StoreError(
                f"{escaped(self.path)} cannot be read: a write to it was cut off, and finishing it "
                "needs a folder that can be written. Copy the folder, and open the copy"
            ) from error

    def _finish_first_write(self) -> None:
        """Undo what a killed process has begun before the file had a log; readers may not."""
        with closing(self._connect("rw")):
            pass

    def _open_as_unchanging(self) -> sqlite3.Connection:
        """Connect where SQLite cannot make the files that readers share with a writer."""
        self._unchanged = self._contents()
        return self._connect("ro&immutable=1")

    def _connect(self, mode: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            self._refuse_cut(connection)
            self._prepare(connection)
            self._look_at_file()
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_cut(self, connection: sqlite3.Connection) -> None:
        """Refuse a file whose end is missing: SQLite would read zeros there."""
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("BEGIN")
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        # Without a log, all pages of this transaction are in the file.
        is_cut = not self._log_size() and _size(self.path) < pages * page_size
        connection.execute("COMMIT")
        if is_cut:
            raise sqlite3.DatabaseError("database disk image is malformed: its end is missing")

    def _contents(self) -> tuple[int, ...]:
        """Return what changes when a file that was opened as immutable is written after all."""
        status = self.path.stat()
        return (status.st_mtime_ns, status.st_size, self._log_size())

    def _log_size(self) -> int:
        return _size(Path(f"{self.path}-wal"))

    def _journal_size(self) -> int:
        return _size(Path(f"{self.path}-journal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read_schema(connection: sqlite3.Connection) -> list[str]:
    """Return the statements that have made what is in a file, sorted; not what SQLite keeps."""
    # A view or trigger of such a name is not SQLite's.
    query = (
        "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite@_%' ESCAPE '@' "
        "OR type NOT IN ('table', 'index')"
    )
    return sorted(str(sql) for (sql,) in connection.execute(query))
