"""A folder on disk as a store of records: one Chroma collection, one writer at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chromadb
from chromadb.errors import ChromaError
from filelock import FileLock, Timeout

from chroma_longembed import settings
from chroma_longembed.collection import open_collection, stored_settings
from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
from chroma_longembed.errors import StoreError
from chroma_longembed.records import Record
from chroma_longembed.sources import printable

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

COLLECTION = "documents"
_DATABASE = "chroma.sqlite3"
_LOCK = "longembed.lock"
_PAGE = 1000


@dataclass(frozen=True)
class Hit:
    """A document found by a search.

    Attributes:
        score: Cosine similarity to the query.
        source: The document's name in the store.
        title: What a person calls it.
        tokens: Its length.
        read: How many of its tokens the vector was computed from.
    """

    score: float
    source: str
    title: str
    tokens: int
    read: int

    @property
    def share_read(self) -> float:
        """The share of the document that was read, from 0 to 1."""
        return self.read / self.tokens if self.tokens else 1.0


class ChromaStore:
    """The records of one collection; see `open_store`."""

    def __init__(
        self,
        client: ClientAPI,
        collection: Collection,
        embedding_function: LongEmbedEmbeddingFunction,
    ) -> None:
        self._collection = collection
        self._embedding_function = embedding_function
        self.max_batch = client.get_max_batch_size()

    def __len__(self) -> int:
        with chroma_errors("read"):
            return self._collection.count()

    def names(self) -> Iterator[tuple[str, str]]:
        """The id and the document's name of every record."""
        for page in self._pages(["metadatas"]):
            for record_id, metadata in zip(page["ids"], page["metadatas"], strict=True):
                yield record_id, metadata["source"]

    def write(self, records: Sequence[Record]) -> None:
        """Write records in one transaction.

        Args:
            records: At most `max_batch`.

        Raises:
            StoreError: If Chroma cannot write.
        """
        with chroma_errors("write"):
            self._collection.upsert(
                ids=[record.id for record in records],
                documents=[record.text for record in records],
                embeddings=[record.vector for record in records],
                metadatas=[dict(record.metadata) for record in records],
            )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; none is no error.

        Raises:
            StoreError: If Chroma cannot write.
        """
        if ids:
            with chroma_errors("write"):
                self._collection.delete(ids=list(ids))

    def search(self, query: str, k: int) -> list[Hit]:
        """The documents most similar to a query.

        Args:
            query: A text.
            k: The most hits.

        Returns:
            The best first.

        Raises:
            StoreError: If Chroma cannot read.
            InputError: If the query cannot be embedded.
        """
        vectors = self._embedding_function.embed_query([query])
        with chroma_errors("read"):
            found: Any = self._collection.query(
                query_embeddings=vectors, n_results=k, include=["metadatas", "distances"]
            )
        return [
            Hit(1 - distance, data["source"], data["title"], data["tokens"], data["read"])
            for distance, data in zip(found["distances"][0], found["metadatas"][0], strict=True)
        ]

    def sample(self, size: int) -> list[Record]:
        """Some records, spread evenly over the store.

        Args:
            size: How many; all if there are fewer.

        Returns:
            The records as they are stored.
        """
        ids = sorted(record_id for record_id, _ in self.names())
        chosen = ids[:: max(1, len(ids) // size)][:size]
        if not chosen:
            return []
        with chroma_errors("read"):
            found: Any = self._collection.get(
                ids=chosen, include=["documents", "embeddings", "metadatas"]
            )
        columns = (found["ids"], found["documents"], found["embeddings"], found["metadatas"])
        return [Record(*row) for row in zip(*columns, strict=True)]

    def _pages(self, include: list[str]) -> Iterator[Any]:
        offset = 0
        while True:
            with chroma_errors("read"):
                page: Any = self._collection.get(
                    limit=_PAGE,
                    offset=offset,
                    include=include,  # type: ignore[arg-type]
                )
            if not page["ids"]:
                return
            yield page
            offset += len(page["ids"])


def is_store(directory: Path) -> bool:
    """Whether there is a store in a folder.

    Args:
        directory: The folder; need not exist.

    Returns:
        False if one could be created there.

    Raises:
        StoreError: If the place is taken by something else.
    """
    if (directory / _DATABASE).is_file():
        return True
    if not directory.exists():
        return False
    if not directory.is_dir():
        raise StoreError(f"{printable(directory)} is a file, not the folder of a store")
    if any(entry.name != _LOCK for entry in directory.iterdir()):
        raise StoreError(
            f"{printable(directory)} is not a store: it has files, but no {_DATABASE} among them. "
            "Name an empty or a new folder"
        )
    return False


def read_settings(directory: Path, collection: str = COLLECTION) -> settings.Settings | None:
    """The settings that a store's vectors were made with; loads no model.

    Args:
        directory: The store's folder.
        collection: The name of the collection in it.

    Returns:
        The settings, or None if there is no store yet.

    Raises:
        StoreError: If the folder is something else, or cannot be read.
        ConfigError: If its collection was not made by this package.
    """
    if not is_store(directory):
        return None
    with _client(directory) as client:
        return stored_settings(client, collection)


@contextmanager
def open_store(
    directory: Path,
    embedding_function: LongEmbedEmbeddingFunction,
    *,
    write: bool = False,
    wait: float = 0,
) -> Iterator[ChromaStore]:
    """Open a store for the length of a `with` block.

    Args:
        directory: The store's folder.
        embedding_function: Must make the vectors that the store holds.
        write: Create what is not there, and keep other writers out.
        wait: How many seconds to wait for another writer to finish.

    Yields:
        The store.

    Raises:
        StoreError: If there is no store to read, the folder is something else, or another process
            is writing.
        ConfigError: If the store's vectors were made with other settings.
    """
    if not is_store(directory) and not write:
        raise StoreError(f"there is no store in {printable(directory)}")
    with write_client(directory, wait) if write else _client(directory) as client:
        collection = open_collection(client, COLLECTION, embedding_function)
        yield ChromaStore(client, collection, embedding_function)


@contextmanager
def write_client(directory: Path, wait: float = 0) -> Iterator[ClientAPI]:
    """A Chroma client for a store's folder while no other process of ours writes there.

    Args:
        directory: The store's folder; created if need be.
        wait: How many seconds to wait for another writer to finish.

    Yields:
        The client.

    Raises:
        StoreError: If another process is writing, or the folder cannot be written to.
    """
    with _only_writer(directory, wait), _client(directory) as client:
        yield client


@contextmanager
def _client(directory: Path) -> Iterator[ClientAPI]:
    with chroma_errors(f"open {printable(directory)} as"):
        # Typed without its `close`, which frees the files.
        client: Any = chromadb.PersistentClient(str(directory))
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _only_writer(directory: Path, wait: float) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / _LOCK)
        # The system frees it when its holder dies, however it dies.
        lock.acquire(timeout=wait)
    except Timeout:
        raise StoreError(
            f"another process is writing to {printable(directory)}. Try again when it is done, or "
            "let the command wait for it: --wait SECONDS"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write to {printable(directory)}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def chroma_errors(action: str) -> Iterator[None]:
    """Turn Chroma's errors into ours.

    Args:
        action: What is being done, for the message: "read", "write".

    Raises:
        StoreError: In the place of any error of Chroma's.
    """
    try:
        yield
    except ChromaError as error:
        raise StoreError(f"cannot {action} the store: {error}") from error
