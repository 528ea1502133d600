"""The kind "chroma": the SQLite store with a mirror in Chroma, for other programs to read.

Importing this needs no Chroma: it is asked about folders of other kinds, too.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from longembed_index.errors import StoreError, StoreWarning
from longembed_index.store.kinds import remote_url
from longembed_index.store.sqlite import SqliteStores
from longembed_st.errors import LongEmbedError
from longembed_st.extras import needs_extra, require_extra
from longembed_st.files import write_text

if TYPE_CHECKING:
    from chroma_longembed.mirror import Mirror
    from chroma_longembed.version_0_2 import OldChromaStore
    from longembed_index.document import Record
    from longembed_index.store.protocol import Store, StoreInfo

FILE_NAME = "longembed.mirror"
"""Has what tells the store from others, and the folder from one of the kind "sqlite"."""


class ChromaFolders:
    """A folder with the SQLite file, and with Chroma's files unless Chroma is on a server."""

    def __init__(self) -> None:
        self._stores = SqliteStores()

    def recognises(self, directory: Path) -> bool:
        """Return whether a folder holds a store with a mirror."""
        return (directory / FILE_NAME).is_file()

    def accepts_url(self, url: str) -> bool:
        """Return whether a Chroma server can be at a URL."""
        return url.startswith(("http://", "https://"))

    def read_info(self, directory: Path, collection: str) -> StoreInfo | None:
        """Return what a collection holds; None if it does not exist."""
        info = self._stores.read_info(directory, collection)
        if info is None:
            # It is going to be made, if anything.
            require_extra("chroma", "chromadb")
        return info

    def open(
        self, directory: Path, collection: str, *, create: StoreInfo | None, write: bool
    ) -> Store:
        """Open a collection, or create it; only who writes needs Chroma."""
        if create is None and not (write and self.recognises(directory)):
            return self._stores.open(directory, collection, create=None, write=write)
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.mirror import Mirror
        # First of all: without it, Chroma's files would be taken for a store of version 0.2.
        identity = _identity(directory)
        mirror = Mirror(self.address(directory), collection, identity)
        reached = None
        # If Chroma cannot be reached, the end of the run says so: the file can be written.
        with suppress(StoreError):
            reached = mirror.prepare(None if create is None else create.provenance)
        store = self._stores.open(directory, collection, create=create, write=write)
        # Everything else that a store does, the file does.
        return cast("Store", MirroredStore(store, mirror, reached))

    def address(self, directory: Path) -> str:
        """Return the folder, or the URL of the server on which the mirror is."""
        return remote_url(directory) or str(directory)

    def size(self, directory: Path) -> int | None:
        """Return the bytes of the folder, Chroma's files included if they are there."""
        return self._stores.size(directory)

    def read_old(self, directory: Path, collection: str) -> OldChromaStore | None:
        """Return a collection that version 0.2 wrote; None if the folder has no old store."""
        if self.recognises(directory) or not (directory / "chroma.sqlite3").is_file():
            return None
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.version_0_2 import OldChromaStore
        return OldChromaStore(directory, collection)


class MirroredStore:
    """A store whose mirror is brought up to date when it is closed; it is else like the store.

    Args:
        store: The store, open for writing.
        mirror: Its mirror.
        reached: The generation of the mirror; None if it is not known.
    """

    def __init__(self, store: Store, mirror: Mirror, reached: int | None) -> None:
        self._store, self._mirror = store, mirror
        is_current = reached == store.generation
        self._changed: set[str] | None = set() if is_current else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def __len__(self) -> int:
        return len(self._store)

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        """Add or replace records, and delete others, all in one commit."""
        gone = list(delete)
        self._store.write(records, gone)
        if self._changed is not None:
            self._changed.update(gone, (record.document.id for record in records))

    def switch(self) -> str:
        """Put the staged store in the place of this one, and return the old one's name."""
        self._changed = None
        return self._store.switch()

    def close(self) -> None:
        """Bring the mirror up to date, and release files; warn if Chroma cannot be written."""
        try:
            self._mirror.update(self._store, self._changed)
        except LongEmbedError as error:
            warnings.warn(
                f"the documents are in the index, but not all of them in its mirror in Chroma: "
                f"{error}. The next run that writes brings the mirror up to date",
                StoreWarning,
                stacklevel=2,
            )
        finally:
            self._store.close()


def _identity(directory: Path) -> str:
    file = directory / FILE_NAME
    if not file.is_file():
        write_text(file, uuid.uuid4().hex)
    return file.read_text("utf-8").strip()
