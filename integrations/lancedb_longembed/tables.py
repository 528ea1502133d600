"""LanceDB's tables: changed in one commit each, read in parts, tidied now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lancedb
import pyarrow as pa  # type: ignore[import-untyped]
from lancedb.index import BTree

from longembed_index.embedding import batches
from longembed_index.errors import StoreError

if TYPE_CHECKING:
    from lancedb.db import DBConnection

KEY = "id"
_OLD = timedelta(minutes=10)
"""Versions are kept so long: a search that began on one has ended by then."""
_AT_ONCE = 1000
"""Keys in one condition."""
_LEAST_WRITES = 100
"""Writes between two tidyings, or a tenth of the rows: all are rewritten a few times only."""


def connect(uri: str) -> DBConnection:
    """Open a database; each read sees what was written last.

    Args:
        uri: A folder, or the address of an object store.

    Raises:
        StoreError: If that is not possible.
    """
    with lance_errors("open"):
        return lancedb.connect(uri, read_consistency_interval=timedelta(0))


@contextmanager
def lance_errors(action: str) -> Iterator[None]:
    """Turn LanceDB's errors, which are of many classes, into ours.

    Args:
        action: What is being done, for the message: "read", "write".

    Raises:
        StoreError: In the place of any of them.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:300]
        raise StoreError(f"cannot {action} the store: {reason}") from error


def table_names(database: DBConnection) -> set[str]:
    """The names of all tables.

    Args:
        database: Open.
    """
    names: set[str] = set()
    page = None
    with lance_errors("read"):
        while True:
            found = database.list_tables(page_token=page)
            names.update(found.tables)
            page = found.page_token
            if not page:
                return names


def drop(database: DBConnection, name: str) -> None:
    """Delete a table, if it is there.

    Args:
        database: Open for writing.
        name: Of the table.
    """
    if name in table_names(database):
        with lance_errors("write"):
            database.drop_table(name)


def among(values: Sequence[str], column: str = KEY) -> str:
    """The condition that a column has one of some values.

    Args:
        values: Any texts, one at least.
        column: Its name.
    """
    return f"{column} IN ({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """A text as LanceDB's conditions write it.

    Args:
        text: Any.
    """
    return "'" + text.replace("'", "''") + "'"


class Rows:
    """A table whose rows have a key.

    Args:
        database: Open.
        name: Of the table, which is there.
        key: The column.
    """

    def __init__(self, database: DBConnection, name: str, key: str = KEY) -> None:
        with lance_errors("read"):
            self.table: Any = database.open_table(name)
        self._key = key
        self._writes = 0

    @classmethod
    def create(
        cls,
        database: DBConnection,
        name: str,
        schema: pa.Schema,
        key: str = KEY,
        indices: Mapping[str, Any] | None = None,
    ) -> Rows:
        """Create the table, with an index of its key, unless it is there already.

        Args:
            database: Open for writing.
            name: Of the table.
            schema: Of its columns.
            key: One of them.
            indices: Further ones, by column.
        """
        with lance_errors("write"):
            table = database.create_table(name, schema=schema, exist_ok=True)
            there = {one.columns[0] for one in table.list_indices()}
            for column, index in {key: BTree(), **(indices or {})}.items():
                if column not in there:
                    table.create_index(column, config=index)
        return cls(database, name, key)

    def __len__(self) -> int:
        with lance_errors("read"):
            return int(self.table.count_rows())

    def read(self, *columns: str, where: str | None = None) -> Iterator[pa.RecordBatch]:
        """Some columns of all rows, or of those that meet a condition, part by part.

        Args:
            *columns: Their names.
            where: The condition.
        """
        with lance_errors("read"):
            query = self.table.search().select(list(columns))
            yield from (query if where is None else query.where(where)).to_batches()

    def rows(self, *columns: str, where: str | None = None) -> Iterator[dict[str, Any]]:
        """The same as dictionaries."""
        for batch in self.read(*columns, where=where):
            yield from batch.to_pylist()

    def put(self, data: pa.Table) -> None:
        """Write rows, all or none; those of the same key are replaced.

        Args:
            data: With the table's columns.
        """
        with lance_errors("write"):
            (
                self.table.merge_insert(self._key)
                .when_matched_update_all()
                .when_not_matched_insert_all()
                .execute(data)
            )
        self._written()

    def delete(self, keys: Sequence[str]) -> None:
        """Remove rows, a thousand in one commit; one that is not there is no error."""
        for part in batches(keys, _AT_ONCE):
            with lance_errors("write"):
                self.table.delete(among(part, self._key))
            self._written()

    def _written(self) -> None:
        self._writes += 1
        if self._writes >= max(_LEAST_WRITES, len(self) // 10):
            self.tidy()

    def tidy(self) -> None:
        """Join what many writes have left, bring indices up to date, forget old versions."""
        if self._writes:
            with lance_errors("write"):
                self.table.optimize(cleanup_older_than=_OLD)
            self._writes = 0
