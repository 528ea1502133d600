"""Which table holds which collection: in a table of its own, so that a switch is one commit."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal

import pyarrow as pa  # type: ignore[import-untyped]

from lancedb_longembed.tables import Database, Rows
from longembed_index.errors import StoreError
from longembed_index.store.info import info_from_json, info_to_json
from longembed_index.store.protocol import StoreInfo
from longembed_st.errors import ConfigError

TABLE = "longembed.collections"
OLD_COLUMN = "settings"
"""A column that the table had in version 0.2."""
_SCHEMA = pa.schema(
    [
        *(pa.field(n, pa.string()) for n in ("table", "collection", "state", "info", "language")),
        pa.field("indexed", pa.int64()),
    ]
)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

State = Literal["current", "staged", "replaced"]


@dataclass(frozen=True)
class Entry:
    """A table that holds, is going to hold or has held a collection.

    Attributes:
        table: Its name; the table itself is created with its first documents.
        collection: The collection's name.
        state: Whether it answers searches, is going to, or did.
        info: The description of the store, as JSON.
        language: The language of its words; None before its first documents.
        indexed: The version of the table up to which its indices are complete; None without any.
    """

    table: str
    collection: str
    state: State
    info: str
    language: str | None = None
    indexed: int | None = None

    @classmethod
    def create(cls, table: str, collection: str, state: State, info: StoreInfo) -> Entry:
        """Return an entry with the description of a store."""
        return cls(table, collection, state, info_to_json(info))

    def read_info(self, address: str) -> StoreInfo:
        """Return the description of the store, which is at an address."""
        return info_from_json(self.info, address)


class Collections:
    """The entries of one collection."""

    def __init__(self, database: Database, collection: str) -> None:
        self._database, self._collection = database, collection
        self._rows: Rows | None = None
        self._read: tuple[int, list[Entry]] = (0, [])

    @property
    def version(self) -> int:
        """Return the number of the last change to any collection; 0 if there was none."""
        if self._rows is None:
            if TABLE not in self._database.table_names():
                return 0
            rows = Rows(self._database, TABLE, "table")
            if OLD_COLUMN in rows.schema.names:
                raise StoreError(
                    f"the store in {self._database.address} was made by version 0.2. Convert it: "
                    "longembed convert OLD NEW"
                )
            self._rows = rows
        return self._rows.version

    def entries(self, state: State | None = None) -> list[Entry]:
        """Return the entries in a state, or all."""
        # The version first: what is written meanwhile is read once more the next time.
        version, (known, entries) = self.version, self._read
        if version != known and self._rows is not None:
            rows = [row for batch in self._rows.read(*_SCHEMA.names) for row in batch.to_pylist()]
            entries = [Entry(**row) for row in rows if row["collection"] == self._collection]
            self._read = (version, entries)
        return [entry for entry in entries if state in (None, entry.state)]

    def find(self, *, state: State | None = None, table: str | None = None) -> Entry | None:
        """Return the entry in a state, or of a table; None if there is none."""
        entries = self.entries(state)
        return next((entry for entry in entries if table in (None, entry.table)), None)

    def put(self, *entries: Entry) -> None:
        """Write entries in one commit."""
        self._database.create(TABLE, _SCHEMA)
        rows = Rows(self._database, TABLE, "table")
        rows.index()
        rows.write(pa.Table.from_pylist([asdict(entry) for entry in entries], schema=_SCHEMA))
        rows.tidy()

    def drop(self, state: State) -> list[str]:
        """Delete the tables in a state, and return their names."""
        tables = [entry.table for entry in self.entries(state)]
        for table in tables:
            self._database.drop(table)
        if tables:
            Rows(self._database, TABLE, "table").write(None, tables)
        return tables

    def refuse_foreign(self) -> None:
        """Raise `ConfigError` if another program has a table of the collection's name."""
        if self._collection in self._database.table_names():
            raise ConfigError(
                f"the table {self._collection!r} was not made by longembed: its vectors cannot be "
                "compared with ours. Choose another name for the collection"
            )

    def new_table(self) -> str:
        """Return a name that no table has or had: the collection's own, or that with a number.

        Raises:
            ConfigError: If LanceDB does not take such names.
        """
        if not _NAME.fullmatch(self._collection):
            raise ConfigError(
                f"LanceDB does not take {self._collection!r} as the name of a table. Use letters, "
                "digits, hyphens and underscores only"
            )
        if not self.entries():
            return self._collection
        # An open reader would take a table of a name that is used again for the old one.
        return f"{self._collection}-{self.version + 1}"
