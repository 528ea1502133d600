"""Files beside a store that hold what can be made again: damaged, they are begun anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.errors import StoreError

if TYPE_CHECKING:
    from longembed_index.store import Store


class DerivedFile:
    """A SQLite file.

    Args:
        path: The file; made when something is written.
        *tables: The statements that create its tables, if they are not there.
    """

    def __init__(self, path: Path, *tables: str) -> None:
        self.path = path
        self._tables = tables

    def write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Execute a statement for each of some rows, all or none.

        Args:
            statement: With a mark for each value.
            rows: The values.

        Raises:
            StoreError: If it cannot be written.
        """
        self.change(lambda database: database.executemany(statement, rows))

    def change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do some work on it in one transaction, whose other writers wait meanwhile.

        Args:
            work: Is called again with an empty file if this one turns out to be damaged.

        Raises:
            StoreError: If it cannot be written.
        """
        try:
            try:
                self._change(work)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self.path.unlink(missing_ok=True)
                self._change(work)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot write {self.path.name}: {error}") from error

    def reading(self) -> closing[sqlite3.Connection]:
        """A connection that only reads; `sqlite3.Error` if there is nothing to read."""
        return closing(self._connect("ro"))

    def _change(self, work: Callable[[sqlite3.Connection], object]) -> None:
        with closing(self._connect("rwc")) as database, database:
            database.execute("BEGIN IMMEDIATE")
            for table in self._tables:
                database.execute(table)
            work(database)

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True)


def behind(store: Store, there: set[str]) -> tuple[list[str], list[str]]:
    """What a file lacks of the store that it is derived from, and what it has too much.

    Args:
        store: The documents.
        there: The ids of those that the file has something of.

    Returns:
        Ids of records, missing and left over.
    """
    names = {record_id for record_id, _ in store.names()}
    return sorted(names - there), sorted(there - names)


def key_of(record_id: str) -> bytes:
    """An id as it is kept in a file, whatever characters it has.

    Args:
        record_id: The id.
    """
    return record_id.encode("utf-8", "surrogatepass")


def id_of(key: bytes) -> str:
    """The id that `key_of` made a key of.

    Args:
        key: The key.
    """
    return key.decode("utf-8", "surrogatepass")
