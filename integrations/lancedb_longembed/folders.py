"""LanceDB's tables as a kind of store, found by entry point.

Importing this needs no LanceDB: it is asked about other kinds' folders, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.store import REMOTE
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from lancedb_longembed.spans import LanceSpans
    from lancedb_longembed.store import LanceStore
    from longembed_st.base.provenance import Provenance

_EXTRA = "lancedb"
_LIBRARIES = ("lancedb", "pyarrow")


class LanceFolders:
    """The kind "lancedb": a folder of LanceDB's tables, or one that stands for an object store."""

    def recognises(self, directory: Path) -> bool:
        """Whether LanceDB has tables in a folder, or the folder stands for an object store."""
        return (directory / REMOTE).is_file() or any(directory.glob("*.lance"))

    def uri(self, directory: Path) -> str:
        """Where the tables are."""
        remote = directory / REMOTE
        return remote.read_text(encoding="utf8").strip() if remote.is_file() else str(directory)

    def read_provenance(self, directory: Path, collection: str) -> Provenance | None:
        """How a collection's vectors were made; None if there is none."""
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.collections import Collections
            from lancedb_longembed.tables import connect
        if not self.recognises(directory):
            return None
        found = Collections(connect(self.uri(directory))).current(collection)
        return None if found is None else found.provenance

    @contextmanager
    def open(
        self, directory: Path, collection: str, create: Provenance | None
    ) -> Iterator[LanceStore]:
        """Open a collection, or create it."""
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.store import LanceStore
            from lancedb_longembed.tables import connect
        database = connect(self.uri(directory))
        if create is not None:
            LanceStore.create(database, collection, create)
        store = LanceStore(database, collection)
        yield store
        if create is not None:
            store.tidy()

    def spans(self, directory: Path, collection: str) -> LanceSpans:
        """The spans of a collection, in tables beside it."""
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.spans import LanceSpans
        return LanceSpans(self.uri(directory) if self.recognises(directory) else None, collection)
