"""Chroma's database files as a kind of store, found by entry point.

Importing this needs no Chroma: it is asked about other kinds' folders, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chroma_longembed import copies, database, notes
from longembed_index.errors import LostVectorsError, StoreError
from longembed_index.opening import is_being_written
from longembed_st.base.texts import escaped
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

    from chroma_longembed.store import ChromaStore
    from longembed_st.base.provenance import Provenance


class ChromaFolders:
    """The kind "chroma": a folder that Chroma keeps its collections in."""

    def recognises(self, directory: Path) -> bool:
        """Whether Chroma has a database in a folder, or had one beside which ours still are."""
        return any((directory / m.FILE).is_file() for m in (database, copies, notes))

    def read_provenance(self, directory: Path, collection: str) -> Provenance | None:
        """How a collection's vectors were made; None if there is none."""
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.collection import stored_provenance
        if not self.recognises(directory):
            return None
        with open_client(directory) as (client, _):
            return stored_provenance(client, collection)

    @contextmanager
    def open(
        self, directory: Path, collection: str, create: Provenance | None
    ) -> Iterator[ChromaStore]:
        """Open a collection, or create it."""
        with needs_extra("chroma", "chromadb"):
            from chroma_longembed.collection import create_collection
            from chroma_longembed.health import Damage, Health
            from chroma_longembed.store import ChromaStore
            from chroma_longembed.switching import find_collection
        for_writing = create is not None
        with open_client(directory, for_writing=for_writing) as (client, place):
            if create is not None:
                create_collection(client, collection, create)
            health = Health(place, directory)
            store = ChromaStore(client, collection, health, for_writing=for_writing)
            if for_writing:
                store.complete_copies()
            yield store
            written = for_writing and store.needs_a_look()
        if written:
            # What was just written is in memory: whether it is in the files shows when read anew.
            with open_client(directory, for_writing=True) as (client, place):
                found = find_collection(client, collection)
                if found is None or Health(place, directory).look_again(found) != Damage():
                    raise LostVectorsError(
                        f"not all that was written to {escaped(directory)} can be found there"
                    )


@contextmanager
def open_client(directory: Path, *, for_writing: bool = False) -> Iterator[tuple[ClientAPI, Path]]:
    """A Chroma client for a folder.

    Args:
        directory: The folder.
        for_writing: Whether something is going to be written. Chroma writes to every database
            that it opens; without this, one where nothing can be written is read from a copy.

    Yields:
        The client, and the folder that it works on.

    Raises:
        StoreError: If the database cannot be opened, or is damaged.
    """
    has_one = ChromaFolders().recognises(directory)
    if has_one and (for_writing or not is_being_written(directory)):
        database.refuse_damaged(directory)
    with ExitStack() as stack:
        place = directory
        try:
            if not database.has_room(directory):
                if for_writing:
                    raise StoreError(
                        f"there is no room or no right to write to {escaped(directory)}"
                    )
                place = stack.enter_context(database.readable_copy(directory))
            client = _client(place)
        except StoreError:
            raise
        # Of what Chroma raises, not all is an error of its own.
        except Exception as error:
            raise StoreError(f"cannot open {escaped(directory)} as a store: {error}") from error
        try:
            yield client, place
        finally:
            client.close()
            if place == directory:
                database.note_sound(directory)


def _client(directory: Path) -> Any:
    # Typed by Chroma without its `close`, which frees the files.
    import chromadb

    return chromadb.PersistentClient(str(directory))
