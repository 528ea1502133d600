"""A Chroma collection as a store of the index, over any client, and its reindexing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from chroma_longembed.collection import Described, chroma_errors, provenance_of, stamp
from chroma_longembed.health import examine
from chroma_longembed.switching import (
    WAITS_FOR,
    find_collection,
    kept_collections,
    staging_name,
    switch,
)
from longembed_index import reindexing
from longembed_index.embedding import ROWS, batches, document_embedder
from longembed_index.errors import LostVectorsError
from longembed_index.records import Match, Record, document_name
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from chroma_longembed.health import Health
    from longembed_index.reports import Outcome
    from longembed_st.base.provenance import Provenance

_PAGE = 1000


class ChromaStore:
    """The records of one collection; see `longembed_index.store.Store`.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection; exists, and was made by this package.
        health: Of its files, if they are at hand: without it, vectors that Chroma has lost are
            noticed when they are asked for, and come from no copy.
        for_writing: Whether broken vector files may be removed, and their vectors counted as lost.

    Raises:
        ConfigError: If it does not, or was not.
        StoreError: If it cannot be read.
    """

    def __init__(
        self,
        client: ClientAPI,
        name: str,
        health: Health | None = None,
        *,
        for_writing: bool = True,
    ) -> None:
        self._client = client
        self._name = name
        self._health = health
        self._for_writing = for_writing
        with chroma_errors("read"):
            self.max_batch: int = client.get_max_batch_size()
            self._open()

    def _open(self) -> None:
        collection = find_collection(self._client, self._name)
        if collection is None:
            raise ConfigError(f"there is no collection {self._name!r}")
        self._collection = collection
        self._provenance = provenance_of(collection)
        self._lost = self._find_lost(self._health) if self._health else frozenset()

    def _find_lost(self, health: Health) -> frozenset[str]:
        damage = health.damage(self._collection)
        if damage.broken and self._for_writing:
            health.remove_files(self._collection)
            damage = examine(self._collection, health.copies)
        if damage.broken:
            raise LostVectorsError("the vector files of the store are damaged")
        return damage.lost

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
        whole = [record_id for record_id in ids if record_id not in self._lost]
        damaged = [record_id for record_id in ids if record_id in self._lost]
        return [*self._get(whole), *self._get_damaged(damaged)]

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those that exist and have one."""
        whole = [record_id for record_id in ids if record_id not in self._lost]
        keys, vectors = self._columns(whole, "embeddings")
        return dict(zip(keys, vectors, strict=True))

    def _get(self, ids: Sequence[str]) -> Iterator[Record]:
        found = self._columns(ids, "documents", "embeddings", "metadatas")
        for record_id, text, vector, metadata in zip(*found, strict=True):
            yield Record(record_id, text, vector, metadata or {})

    def _get_damaged(self, ids: Sequence[str]) -> Iterator[Record]:
        """Those whose vectors Chroma must not be asked for."""
        keys, texts, metadatas = self._columns(ids, "documents", "metadatas")
        vectors: dict[str, Any] = {}
        if self._health:
            vectors = self._health.copies.get(self._key, dict(zip(keys, texts, strict=True)))
        for record_id, text, metadata in zip(keys, texts, metadatas, strict=True):
            yield Record(record_id, text, vectors.get(record_id), metadata or {})

    def _columns(self, ids: Sequence[str], *names: str) -> list[Sequence[Any]]:
        if not ids:
            # Chroma takes no ids for all of them.
            return [()] * (1 + len(names))
        with chroma_errors("read"):
            found: Any = self._collection.get(ids=list(ids), include=list(names))  # type: ignore[arg-type]
        return [found["ids"], *(found[name] for name in names)]

    @property
    def _key(self) -> str:
        return str(self._collection.id)

    def having(self, key: str, value: str) -> list[str]:
        """The ids of the records whose metadata has this value."""
        with chroma_errors("read"):
            return list(self._collection.get(where={key: value}, include=[])["ids"])

    def write(self, records: Sequence[Record]) -> None:
        """Write records in one transaction."""
        if not records:
            return
        ids = [record.id for record in records]
        if self._health:
            self._health.before_writing(self._collection)
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
        if self._health:
            self._health.after_writing(self._collection)
            self._health.copies.put(self._key, records)
        self._lost = self._lost.difference(ids)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; none is no error."""
        if not ids:
            return
        if self._health:
            self._health.before_writing(self._collection)
        with chroma_errors("write"):
            self._collection.delete(ids=list(ids))
        if self._health:
            self._health.after_writing(self._collection)
            self._health.copies.delete(self._key, ids)
        self._lost = self._lost.difference(ids)

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

    # Vectors that were lost.

    def lost(self) -> list[str]:
        """The ids of the records that no search can find, because their vectors are lost."""
        return sorted(self._lost)

    def complete_copies(self) -> None:
        """Keep a second copy of every vector that has none: another program may have written it."""
        if self._health is None:
            return
        with chroma_errors("read"):
            ids = set(self._collection.get(include=[])["ids"])
        without = ids - self._lost - self._health.copies.ids(self._key)
        for part in batches(sorted(without), ROWS):
            self._health.copies.put(self._key, self.get(part))

    def needs_a_look(self) -> bool:
        """Whether vectors were written to files since the collection was opened."""
        return self._health is not None and self._health.needs_a_look(self._collection)

    # Replacing all vectors while the old ones answer.

    def staged(self) -> ChromaStore | None:
        """What `stage` has begun and no `switch` has ended."""
        name = staging_name(self._name)
        with chroma_errors("read"):
            found = find_collection(self._client, name)
        return None if found is None else ChromaStore(self._client, name, self._health)

    def stage(self, provenance: Provenance) -> ChromaStore:
        """Begin an empty collection that is going to replace this one."""
        name = staging_name(self._name)
        configuration: Any = {"hnsw": self._collection.configuration_json.get("hnsw")}
        marks = {**stamp(provenance), WAITS_FOR: self._name}
        with chroma_errors("write"):
            if (begun := find_collection(self._client, name)) is not None:
                self._delete_collection(begun)
            self._client.create_collection(
                name,
                embedding_function=Described(provenance),
                configuration=configuration,
                metadata={**_metadata(self._collection), **marks},
            )
        return ChromaStore(self._client, name, self._health)

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
                self._delete_collection(self._client.get_collection(name, embedding_function=None))
        return kept

    def _delete_collection(self, collection: Collection) -> None:
        self._client.delete_collection(collection.name)
        if self._health:
            self._health.copies.drop(str(collection.id))


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
