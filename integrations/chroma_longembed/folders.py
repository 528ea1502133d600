"""Chroma's database files as a kind of store, found by entry point.

Importing this needs no Chroma: it is asked about other kinds' folders, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_st.extras import needs_extra
from longembed_st.texts import shown

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

    from chroma_longembed.store import ChromaStore
    from longembed_st.provenance import Provenance

_DATABASE = "chroma.sqlite3"


class ChromaFolders:
    """The kind "chroma": a folder that Chroma keeps its collections in."""

    def recognises(self, directory: Path) -> bool:
        """Whether Chroma has a database in a folder."""
        return (directory / _DATABASE).is_file()

    def read_provenance(self, directory: Path, collection: str) -> Provenance | None:
        """How a collection's vectors were made; None if there is none."""
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.collection import stored_provenance
        if not self.recognises(directory):
            return None
        with open_client(directory) as client:
            return stored_provenance(client, collection)

    @contextmanager
    def open(
        self, directory: Path, collection: str, create: Provenance | None
    ) -> Iterator[ChromaStore]:
        """Open a collection, or create it."""
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.collection import create_collection
            from chroma_longembed.store import ChromaStore
        with open_client(directory) as client:
            if create is not None:
                create_collection(client, collection, create)
            yield ChromaStore(client, collection)


@contextmanager
def open_client(directory: Path) -> Iterator[ClientAPI]:
    """A Chroma client for a folder.

    Args:
        directory: The folder.

    Raises:
        StoreError: If its database cannot be opened.
    """
    import chromadb

    from chroma_longembed.collection import chroma_errors

    with chroma_errors(f"open {shown(directory)} as"):
        # Typed without its `close`, which frees the files.
        client: Any = chromadb.PersistentClient(str(directory))
    try:
        yield client
    finally:
        client.close()
