"""LanceDB's tables as a kind of store, found by entry point.

Importing this needs no LanceDB: it is asked about folders of other kinds, too.
"""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.errors import StoreError, StoreWarning
from longembed_index.store.kinds import remote_url, writer_lock
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from lancedb_longembed.store import LanceStore
    from lancedb_longembed.version_0_2 import OldLanceStore
    from longembed_index.store.protocol import StoreInfo

_EXTRA = "lancedb"
_LIBRARIES = ("lancedb", "pyarrow")


class LanceFolders:
    """The kind "lancedb": a folder of LanceDB's tables, or one that stands for an object store."""

    def recognises(self, directory: Path) -> bool:
        """Return whether LanceDB has tables in a folder, or it stands for an object store."""
        return self._url(directory) is not None or any(directory.glob("*.lance"))

    def accepts_url(self, url: str) -> bool:
        """Return whether LanceDB can have tables at a URL."""
        return not url.startswith(("http://", "https://"))

    def read_info(self, directory: Path, collection: str) -> StoreInfo | None:
        """Return what a collection holds; None if it does not exist."""
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.collections import Collections
            from lancedb_longembed.tables import Database
        if not self.recognises(directory):
            return None
        collections = Collections(Database(self.address(directory)), collection)
        entry = collections.find(state="current")
        if entry is None:
            collections.refuse_foreign()
            return None
        return entry.read_info(self.address(directory))

    def open(
        self, directory: Path, collection: str, *, create: StoreInfo | None, write: bool
    ) -> LanceStore:
        """Open a collection, or create it."""
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.store import LanceStore
            from lancedb_longembed.tables import Database
        database = Database(self.address(directory))
        store = LanceStore(database, collection, create=create, write=write or create is not None)
        if not write and not store.is_indexed:
            _finish_killed_run(store, directory)
        return store

    def address(self, directory: Path) -> str:
        """Return where the tables are: the folder, or the URL for which it stands."""
        return self._url(directory) or str(directory)

    def size(self, directory: Path) -> int | None:
        """Return the bytes of the tables; None if they are in an object store."""
        if self._url(directory) is not None:
            return None
        files = (path for table in directory.glob("*.lance") for path in table.rglob("*"))
        return sum(path.stat().st_size for path in files if path.is_file())

    def read_old(self, directory: Path, collection: str) -> OldLanceStore | None:
        """Return a collection that version 0.2 wrote; None if there is none."""
        if not self.recognises(directory):
            return None
        with needs_extra(_EXTRA, *_LIBRARIES):
            from lancedb_longembed.tables import Database
            from lancedb_longembed.version_0_2 import read_old
        return read_old(Database(self.address(directory)), directory, collection)

    def _url(self, directory: Path) -> str | None:
        url = remote_url(directory)
        return url if url is not None and self.accepts_url(url) else None


def _finish_killed_run(store: LanceStore, directory: Path) -> None:
    """Complete the indices, by which words are scored, unless somebody is writing."""
    with ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(directory))
        except StoreError:
            # The writer completes them; or this process may not write.
            return
        try:
            store.complete_indices()
        except StoreError as error:
            warnings.warn(
                f"words of deleted documents count in the scores of others until a run completes "
                f"the index of words, which has failed now: {error}",
                StoreWarning,
                stacklevel=2,
            )
