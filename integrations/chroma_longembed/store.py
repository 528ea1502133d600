"""A Chroma collection as a store of the index, over any client, and its reindexing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chroma_longembed.collection import Described, chroma_errors, provenance_of, stamp
from chroma_longembed.switching import (
    WAITS_FOR,
    find_collection,
    kept_collections,
    staging_name,
    switch,
)
from longembed_index import reindexing
from longembed_index.embedding import document_embedder
from longembed_index.records import Match, Record, document_name
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from longembed_index.reports import Outcome
    from longembed_st.provenance import Provenance

_PAGE = 1000


class ChromaStore:
    """The records of one collection; see `longembed_index.store.Store`.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection; exists, and was made by this package.

    Raises:
        ConfigError: If it does not, or was not.
        StoreError: If it cannot be read.
    """

    def __init__(self, client: ClientAPI, name: str) -> None:
        self._client = client
        self._name = name
        with chroma_errors("read"):
            self.max_batch: int = client.get_max_batch_size()
            self._open()

    def _open(self) -> None:
        collection = find_collection(self._client, self._name)
        if collection is None:
            raise ConfigError(f"there is no collection {self._name!r}")
        self._collection = collection
        self._provenance = provenance_of(collection)

    @property
    def provenance(self) -> Provenance:
        """How the vectors were made."""
        return self._provenance

    @provenance.setter
    def provenance(self, provenance: Provenance) -> None:
        with chroma_errors("write"):
            self._collection.modify(metadata={**_metadata(self._collection), **stamp(provenance)})
        self._provenance = provenance

    def __len__(self) -> int:
        with chroma_errors("read"):
            return self._collection.count()

    def names(self) -> Iterator[tuple[str, str]]:
        """The id and the document's name of every record."""
        offset = 0
        while True:
            with chroma_errors("read"):
                page: Any = self._collection.get(limit=_PAGE, offset=offset, include=["metadatas"])
            if not page["ids"]:
                return
            for record_id, metadata in zip(page["ids"], page["metadatas"], strict=True):
                yield record_id, document_name(record_id, metadata or {})
            offset += len(page["ids"])

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records that exist among these, in any order."""
        if not ids:
            # Chroma takes no ids for all of them.
            return []
        with chroma_errors("read"):
            found: Any = self._collection.get(
                ids=list(ids), include=["documents", "embeddings", "metadatas"]
            )
        columns = (found["ids"], found["documents"], found["embeddings"], found["metadatas"])
        return [
            Record(record_id, text, vector, metadata or {})
            for record_id, text, vector, metadata in zip(*columns, strict=True)
        ]

    def write(self, records: Sequence[Record]) -> None:
        """Write records in one transaction."""
        if not records:
            return
        ids = [record.id for record in records]
        with chroma_errors("write"):
            found: Any = self._collection.get(ids=ids, include=["metadatas"])
            earlier = dict(zip(found["ids"], found["metadatas"], strict=True))
            columns: dict[str, Any] = {
                "ids": ids,
                "documents": [record.text for record in records],
                "embeddings": [record.vector for record in records],
                # Chroma leaves a key as it was unless it is given, and removes it for None.
                "metadatas": [
                    {**dict.fromkeys(earlier.get(r.id) or ()), **r.metadata} or None
                    for r in records
                ],
            }
            self._collection.upsert(**columns)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; none is no error."""
        if ids:
            with chroma_errors("write"):
                self._collection.delete(ids=list(ids))

    def search(self, vector: Any, k: int) -> list[Match]:
        """The records most similar to a vector, the best first."""
        with chroma_errors("read"):
            found: Any = self._collection.query(
                query_embeddings=[vector], n_results=k, include=["metadatas", "distances"]
            )
        columns = (found["ids"][0], found["distances"][0], found["metadatas"][0])
        return [
            Match(record_id, 1 - distance, metadata or {})
            for record_id, distance, metadata in zip(*columns, strict=True)
        ]

    def staged(self) -> ChromaStore | None:
        """What `stage` has begun and no `switch` has ended."""
        name = staging_name(self._name)
        with chroma_errors("read"):
            found = find_collection(self._client, name)
        return None if found is None else ChromaStore(self._client, name)

    def stage(self, provenance: Provenance) -> ChromaStore:
        """Begin an empty collection that is going to replace this one."""
        name = staging_name(self._name)
        configuration: Any = {"hnsw": self._collection.configuration_json.get("hnsw")}
        marks = {**stamp(provenance), WAITS_FOR: self._name}
        with chroma_errors("write"):
            if find_collection(self._client, name) is not None:
                self._client.delete_collection(name)
            self._client.create_collection(
                name,
                embedding_function=Described(provenance),  # type: ignore[arg-type]
                configuration=configuration,
                metadata={**_metadata(self._collection), **marks},
            )
        return ChromaStore(self._client, name)

    def switch(self) -> str:
        """Give the collection's name to what is staged, and keep the old one under another."""
        with chroma_errors("write"):
            kept = switch(self._client, self._name)
            self._open()
        return kept

    def drop_kept(self) -> list[str]:
        """Delete everything that `switch` has kept."""
        with chroma_errors("write"):
            kept = kept_collections(self._client, self._name)
            for name in kept:
                self._client.delete_collection(name)
        return kept


def reindex(
    client: ClientAPI,
    name: str,
    embedding_function: LongEmbedEmbeddingFunction,
    *,
    drop_old: bool = False,
    allow_missing: bool = False,
    restart: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> reindexing.Reindexed:
    """Embed every document of a collection with other settings, and switch the name to the result.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection; made by this package.
        embedding_function: The new settings.
        drop_old: As `longembed_index.reindexing.reindex`, like all that follow.
        allow_missing: Likewise.
        restart: Likewise.
        on_outcome: Likewise.

    Returns:
        What was done.

    Raises:
        ConfigError: If there is no such collection, it has these settings already, it was not made
            by this package, or an unfinished reindexing has other settings.
        StoreError: If the new collection does not hold in the end what was written to it.
    """
    return reindexing.reindex(
        ChromaStore(client, name),
        embedding_function.loaded,
        document_embedder(embedding_function.loaded),
        drop_old=drop_old,
        allow_missing=allow_missing,
        restart=restart,
        on_outcome=on_outcome,
    )


def _metadata(collection: Collection) -> dict[str, Any]:
    return dict(collection.metadata or {})
