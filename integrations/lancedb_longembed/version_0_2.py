"""Reads what version 0.2 wrote: records in tables of LanceDB."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lancedb_longembed.collections import OLD_COLUMN, TABLE
from lancedb_longembed.records import vector_column
from lancedb_longembed.tables import KEY, Database, Rows
from longembed_index.document import Record
from longembed_index.maintain.convert import OF_ANOTHER_PROGRAM, is_ours, old_ranking, old_record
from longembed_index.maintain.embedding import batches
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance

_AT_ONCE = 100


class OldLanceStore:
    """A collection in LanceDB; see `longembed_index.maintain.convert.OldStore`."""

    def __init__(
        self,
        database: Database,
        directory: Path,
        entry: Mapping[str, Any],
        other_collections: list[str],
    ) -> None:
        self.other_collections = other_collections
        provenance = Provenance.from_json(entry["settings"])
        name = entry["collection"]
        self._documents = _find_rows(database, entry["table"])
        ranking = old_ranking(directory, name)
        self.info = StoreInfo(provenance, language=entry["language"], ranking=ranking)

    def records(self, on_left_out: Callable[[str, str], None]) -> Iterator[Record]:
        """Yield its documents with their vectors."""
        if self._documents is None:
            return
        keys = [key for batch in self._documents.read(KEY) for key in batch[KEY].to_pylist()]
        for part in batches(sorted(keys), _AT_ONCE):
            for batch in self._documents.read_keys(part, KEY, "text", "metadata", "vector"):
                rows = batch.select([KEY, "text", "metadata"]).to_pylist()
                for row, vector in zip(rows, vector_column(batch), strict=True):
                    metadata = json.loads(row["metadata"])
                    if is_ours(metadata):
                        yield old_record(metadata, row["text"], vector)
                    else:
                        on_left_out(row[KEY], OF_ANOTHER_PROGRAM)


def read_old(database: Database, directory: Path, collection: str) -> OldLanceStore | None:
    """Return a collection that version 0.2 wrote; None if there is none in a database."""
    rows = _find_rows(database, TABLE)
    if rows is None or OLD_COLUMN not in rows.schema.names:
        return None
    columns = ("table", "collection", "state", "settings", "language")
    entries = [entry for batch in rows.read(*columns) for entry in batch.to_pylist()]
    current = {entry["collection"]: entry for entry in entries if entry["state"] == "current"}
    if collection not in current:
        return None
    others = sorted(current.keys() - {collection})
    return OldLanceStore(database, directory, current[collection], others)


def _find_rows(database: Database, name: str) -> Rows | None:
    return Rows(database, name) if name in database.table_names() else None
