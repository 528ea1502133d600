"""Which tables belong to which collection: a table of its own, so that a switch is one commit."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa  # type: ignore[import-untyped]

from lancedb_longembed.tables import Rows, quoted, table_names
from longembed_index.errors import StoreError
from longembed_st.base.provenance import Provenance
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from lancedb.db import DBConnection

TABLE = "longembed.collections"
_SCHEMA = pa.schema(
    [
        pa.field("table", pa.string()),
        pa.field("collection", pa.string()),
        pa.field("state", pa.string()),
        pa.field("settings", pa.string()),
        pa.field("language", pa.string()),
        pa.field("spans", pa.bool_()),
    ]
)
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

State = Literal["current", "staged", "kept"]


@dataclass(frozen=True)
class Entry:
    """A table of ours.

    Attributes:
        table: Its name; the table itself comes into being with its first record.
        collection: The collection that it belongs to.
        state: What answers searches, is going to, or did.
        settings: How its vectors are made, as `Provenance.to_json` writes it.
        language: Of its words; None before its first record.
        spans: Whether spans are kept of its documents.
    """

    table: str
    collection: str
    state: State
    settings: str
    language: str | None = None
    spans: bool = False

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made."""
        return Provenance.from_json(self.settings)


class Collections:
    """The collections of a database.

    Args:
        database: Open.
    """

    def __init__(self, database: DBConnection) -> None:
        self._database = database

    def entries(self, collection: str) -> list[Entry]:
        """The tables of a collection.

        Raises:
            StoreError: If they cannot be read.
        """
        if TABLE not in table_names(self._database):
            return []
        rows = Rows(self._database, TABLE, "table")
        where = f"collection = {quoted(collection)}"
        return [Entry(**row) for row in rows.rows(*_SCHEMA.names, where=where)]

    def of_state(self, collection: str, state: State) -> list[Entry]:
        """Those in one state."""
        return [entry for entry in self.entries(collection) if entry.state == state]

    def of_table(self, collection: str, table: str) -> Entry:
        """The entry of a table of a collection.

        Raises:
            StoreError: If it is not there any more.
        """
        for entry in self.entries(collection):
            if entry.table == table:
                return entry
        raise StoreError(f"the table {table!r} is not there any more: another program removed it")

    def current(self, collection: str) -> Entry | None:
        """The one that answers searches; None if there is no such collection.

        Raises:
            ConfigError: If another program has a table of the collection's name.
        """
        for entry in self.of_state(collection, "current"):
            return entry
        if collection in table_names(self._database):
            raise ConfigError(
                f"the table {collection!r} was not made by longembed: its vectors cannot be "
                "compared with ours. Choose another name for the collection"
            )
        return None

    def staged(self, collection: str) -> Entry | None:
        """The one that is going to answer searches; None if nothing was begun."""
        return next(iter(self.of_state(collection, "staged")), None)

    def put(self, *entries: Entry) -> None:
        """Write entries in one commit."""
        rows = Rows.create(self._database, TABLE, _SCHEMA, "table")
        rows.put(pa.Table.from_pylist([asdict(entry) for entry in entries], schema=_SCHEMA))
        rows.tidy()

    def remove(self, tables: list[str]) -> None:
        """Forget tables."""
        Rows(self._database, TABLE, "table").delete(tables)

    def free_name(self, collection: str) -> str:
        """The name for another table of a collection: its own, or that with a number.

        Raises:
            ConfigError: If LanceDB takes no such names.
        """
        if not _NAME.fullmatch(collection):
            raise ConfigError(
                f"LanceDB does not take {collection!r} as the name of a table: letters, digits, "
                "hyphens and underscores only"
            )
        taken = table_names(self._database) | {one.table for one in self.entries(collection)}
        if collection not in taken:
            return collection
        number = 2
        while f"{collection}-{number}" in taken:
            number += 1
        return f"{collection}-{number}"
