"""LanceDB's tables: each change is one commit, and readers see the last one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lancedb
import pyarrow as pa  # type: ignore[import-untyped]
from lancedb.index import BTree

from longembed_index.errors import StoreError
from longembed_index.store.sqlite_rows import is_storable
from longembed_index.store.stored_values import StoredValueError
from longembed_st.base.fork_gate import fork_gate
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from lancedb.db import DBConnection

KEY = "id"
_ERRORS = (RuntimeError, ValueError, OSError, pa.ArrowException)
_PANICS = ("PanicException", "RustPanic")
"""What a panic in Rust raises, on this thread or another; the classes cannot be imported."""
_PLACES_IN_SOURCE = re.compile(r",? *\(?/\S+\.rs:\d+(:\d+)?\)?")
_OLD = timedelta(minutes=10)
"""Old versions are kept so long: a search that began on one has ended by then."""
_KEYS_AT_ONCE = 1000
"""Keys in the condition of one read."""
_LEAST_WRITES = 100
"""A table is tidied after so many writes, or as many as a tenth of its rows if that is more."""


_connected_in: int | None = None
"""The process that has used LanceDB first; a forked child inherits the number."""


class Database:
    """A folder or an object store with LanceDB's tables.

    Its connection is closed before a fork. The parent opens it anew; the child is refused, as
    LanceDB would wait there for threads that only the parent has.

    Args:
        address: The folder, or a URL such as `s3://bucket/folder`.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._opened: tuple[DBConnection, dict[str, Any]] | None = None
        fork_gate.add(self)

    @contextmanager
    def errors(self, action: str) -> Iterator[None]:
        """Turn LanceDB's errors, which are of many classes, into `StoreError`; hold off forks."""
        try:
            with fork_gate.use():
                yield
        except StoredValueError as error:
            raise StoreError(f"{escaped(self.address)}: {error}") from error
        except StoreError:
            raise
        except BaseException as error:
            is_panic = type(error).__name__ in _PANICS
            if not (is_panic or isinstance(error, _ERRORS)):
                raise
            raise StoreError(
                f"cannot {action} the store in {escaped(self.address)}: {_reason(error)}. If its "
                "files are damaged, restore them from a copy, or index the documents into a new "
                "folder"
            ) from error

    def _connect(self) -> tuple[DBConnection, dict[str, Any]]:
        global _connected_in
        opened = self._opened
        if opened is None:
            _connected_in = _connected_in or os.getpid()
            if _connected_in != os.getpid():
                raise StoreError(
                    f"cannot read {self.address} in a forked process whose parent has used "
                    "LanceDB. Start processes by 'spawn' or 'forkserver', or use the store only "
                    "after the fork; a SQLite store can be used on both sides"
                )
            with self.errors("open"):
                connection = lancedb.connect(self.address, read_consistency_interval=timedelta(0))
                self._opened = opened = (connection, {})
        return opened

    @property
    def connection(self) -> DBConnection:
        """Return the connection; only for use within `errors`."""
        return self._connect()[0]

    def table_names(self) -> set[str]:
        """Return the names of all tables."""
        names: set[str] = set()
        page = None
        with self.errors("read"):
            while True:
                response = self.connection.list_tables(page_token=page)
                names.update(response.tables)
                page = response.page_token
                if not page:
                    return names

    def table(self, name: str) -> Any:
        """Return LanceDB's table of a name; `StoreError` if there is none."""
        with self.errors("read"):
            connection, tables = self._connect()
            if name not in tables:
                tables[name] = connection.open_table(name)
            return tables[name]

    def create(self, name: str, schema: pa.Schema) -> None:
        """Create an empty table unless it exists."""
        with self.errors("write"):
            self.connection.create_table(name, schema=schema, exist_ok=True)

    def drop(self, name: str) -> None:
        """Delete a table if it exists."""
        if name in self.table_names():
            with self.errors("write"):
                self.connection.drop_table(name)

    def close_idle(self) -> None:
        """Close the connection; the next use opens another one."""
        self._opened = None


class Rows:
    """The rows of an existing table, each with a key."""

    def __init__(self, database: Database, name: str, key: str = KEY) -> None:
        self._database, self._name, self._key = database, name, key
        self._writes = 0
        self._unindexed = (0, 0)

    def errors(self, action: str) -> AbstractContextManager[None]:
        """Do something with the table; see `Database.errors`."""
        return self._database.errors(action)

    @property
    def table(self) -> Any:
        """Return LanceDB's table; only for use within `errors`."""
        return self._database.table(self._name)

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of the table."""
        with self.errors("read"):
            return self.table.schema

    @property
    def version(self) -> int:
        """Return the number of the last commit."""
        with self.errors("read"):
            return int(self.table.version)

    def __len__(self) -> int:
        with self.errors("read"):
            return int(self.table.count_rows())

    def index(self, indices: Mapping[str, Any] | None = None) -> None:
        """Create the index of the keys, and others by column, as far as they do not exist."""
        with self.errors("write"):
            existing = {index.columns[0] for index in self.table.list_indices()}
            for column, config in {self._key: BTree(), **(indices or {})}.items():
                if column not in existing:
                    self.table.create_index(column, config=config)

    def read(self, *columns: str, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Yield columns of all rows, or of those that meet a condition, in batches."""
        with self.errors("read"):
            query = self.table.search().select(list(columns))
            batches = (query if where is None else query.where(where)).to_batches()
        # Not held while the caller has a batch: it may be in no hurry, and a fork waits.
        while True:
            with self.errors("read"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def read_keys(self, keys: Sequence[str], *columns: str) -> Iterator[pa.RecordBatch]:
        """Yield columns of the rows with these keys, in any order."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            part = [key for key in keys[start : start + _KEYS_AT_ONCE] if is_storable(key)]
            if part:
                yield from self.read(*columns, where=one_of(part, self._key))

    def write(self, data: pa.Table | None, delete: Collection[str] = ()) -> None:
        """Add or replace rows, and delete others, all in one commit.

        Args:
            data: Rows with all columns, each key once; None to delete only.
            delete: Other keys; those that do not exist are passed over.
        """
        gone = sorted(filter(is_storable, delete))
        if data is None and not gone:
            return
        condition = one_of(gone, self._key) if gone else None
        with self.errors("write"):
            if data is None:
                self.table.delete(condition)
            else:
                merge = self.table.merge_insert(self._key).when_matched_update_all()
                merge = merge.when_not_matched_insert_all()
                if condition:
                    merge = merge.when_not_matched_by_source_delete(condition)
                merge.execute(data)
        self._writes += 1
        if self._writes >= max(_LEAST_WRITES, len(self) // 10):
            self.tidy()

    def tidy(self) -> None:
        """Join small files, complete the indices and delete old versions."""
        with self.errors("write"):
            self.table.optimize(cleanup_older_than=_OLD)
        self._writes = 0

    def count_unindexed(self) -> int:
        """Return how many rows are not in every index yet."""
        version = self.version
        if self._unindexed[0] != version:
            with self.errors("read"):
                names = [index.name for index in self.table.list_indices()]
                statistics = [self.table.index_stats(name) for name in names]
            counts = [index.num_unindexed_rows for index in statistics if index is not None]
            self._unindexed = (version, max(counts, default=0))
        return self._unindexed[1]


def _reason(error: BaseException) -> str:
    """Return what LanceDB says of an error, in one line and without places in its own source."""
    if type(error).__name__ in _PANICS:
        return "LanceDB cannot make sense of its files"
    return " ".join(_PLACES_IN_SOURCE.sub("", str(error)).split())[:300].rstrip(".,: ")


def one_of(values: Sequence[str], column: str = KEY) -> str:
    """Return the condition in SQL that a column has one of some values, at least one."""
    return f"{column} IN ({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
