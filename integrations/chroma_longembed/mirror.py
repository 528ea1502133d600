"""A collection in Chroma that mirrors a store, for other programs to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from chroma_longembed.client import connected
from chroma_longembed.collection import (
    FINGERPRINT,
    create_collection,
    provenance_of,
    stage_collection,
    stamp,
)
from chroma_longembed.records import ChromaRecord, delete_records, put_records, read_metadata
from chroma_longembed.switching import drop_kept, find_collection, metadata_of, switch
from longembed_index.maintain.embedding import batches
from longembed_index.store.memory import entry_of
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

    from longembed_index.document import Entry
    from longembed_index.store.protocol import Store
    from longembed_st.base.provenance import Provenance

MIRROR_OF, GENERATION = "longembed:mirror_of", "longembed:generation"
"""Metadata of a collection: which store it mirrors, and up to which generation of it."""
_UNFINISHED = -1
"""The generation of a mirror while it is written: a kill then can cost Chroma vectors."""
_AT_ONCE = 100
_INTEGERS = range(-(2**63), 2**63)


class Mirror:
    """The mirror of one collection of a store.

    Args:
        place: Chroma's folder, or the URL of its server.
        collection: The name of the collection, in the store and in Chroma.
        identity: What tells the store from others.
    """

    def __init__(self, place: str, collection: str, identity: str) -> None:
        self._place, self._name, self._identity = place, collection, identity

    def prepare(self, provenance: Provenance | None = None) -> int | None:
        """Make sure that the collection can be written, and return its generation.

        Args:
            provenance: How the vectors are made of a collection that does not exist yet; None to
                leave that for later.

        Raises:
            ConfigError: If the collection is not a mirror of this store, or cannot have its name.
            StoreError: If Chroma cannot be reached.
        """
        with connected(self._place, "write to") as client:
            if provenance is not None:
                create_collection(client, self._name, provenance, self._marks(None))
            collection = self._find(client)
            return None if collection is None else metadata_of(collection).get(GENERATION)

    def update(self, store: Store, changed: Iterable[str] | None) -> None:
        """Bring the mirror up to date with its store.

        Args:
            store: The store.
            changed: The ids of the documents that may differ; None to compare all.

        Raises:
            ConfigError: If the collection is not a mirror of this store, or cannot have its name.
            StoreError: If Chroma cannot be reached or written.
        """
        # The generation first: what is written meanwhile is compared the next time.
        generation, provenance = store.generation, store.info.provenance
        with connected(self._place, "write to") as client:
            collection = self._find(client)
            if collection is None:
                create_collection(client, self._name, provenance, self._marks(None))
                collection = client.get_collection(self._name, embedding_function=None)
            marks = metadata_of(collection)
            reached = marks.get(GENERATION)
            if reached == generation:
                return
            is_of_this_model = marks[FINGERPRINT] == stamp(provenance)[FINGERPRINT]
            if not is_of_this_model or reached == _UNFINISHED:
                self._rebuild(client, collection, store, generation)
            else:
                if changed is None or reached is None:
                    changed = _differing(collection, store)
                self._mark(collection, provenance, _UNFINISHED)
                _copy(collection, store, changed)
                self._mark(collection, provenance, generation)

    def _rebuild(
        self, client: ClientAPI, collection: Collection, store: Store, generation: int
    ) -> None:
        """Fill another collection and put it in the place of the one that there is."""
        marks = self._marks(generation)
        staged = stage_collection(client, collection, store.info.provenance, marks)
        _copy(staged, store, [entry.id for entry in store.entries()])
        switch(client, self._name)
        drop_kept(client, self._name)

    def _find(self, client: ClientAPI) -> Collection | None:
        collection = find_collection(client, self._name)
        if collection is not None:
            provenance_of(collection)
            if metadata_of(collection).get(MIRROR_OF) != self._identity:
                raise ConfigError(
                    f"the collection {self._name!r} in {self._place} does not mirror this store. "
                    "Choose another name for the collection, or delete that one in Chroma"
                )
        return collection

    def _marks(self, generation: int | None) -> dict[str, Any]:
        return {MIRROR_OF: self._identity} | (
            {} if generation is None else {GENERATION: generation}
        )

    def _mark(self, collection: Collection, provenance: Provenance, generation: int) -> None:
        marks = {**stamp(provenance), **self._marks(generation)}
        collection.modify(metadata={**metadata_of(collection), **marks})


def _copy(collection: Collection, store: Store, ids: Iterable[str]) -> None:
    """Let documents be in the collection as they are in the store, or be in neither."""
    # Chroma has no empty ids.
    for part in batches(sorted(filter(None, ids)), _AT_ONCE):
        records = store.get(part)
        put_records(
            collection,
            [
                ChromaRecord(
                    record.document.id,
                    _valid(record.document.text),
                    flat_metadata(entry_of(record)),
                )
                for record in records
            ],
            [record.vector for record in records],
        )
        delete_records(collection, sorted(set(part) - {r.document.id for r in records}))


def _differing(collection: Collection, store: Store) -> list[str]:
    """Return the ids of the documents that the collection lacks, has otherwise, or has too many."""
    wanted = {entry.id: flat_metadata(entry) for entry in store.entries()}
    return [
        key for key, metadata in read_metadata(collection) if wanted.pop(key, None) != metadata
    ] + list(wanted)


def flat_metadata(entry: Entry) -> dict[str, str | int | float | bool]:
    """Return a document's fields as Chroma keeps them: what is not a plain value, as JSON."""
    return {
        _valid(key): _flat(value)
        for key, value in entry.fields.items()
        if value is not None and key != "id" and _is_key(key)
    }


def _is_key(key: str) -> bool:
    return key != "" and key[0] not in "#$" and key != "chroma:document"


def _flat(value: Any) -> str | int | float | bool:
    if isinstance(value, str):
        return _valid(value)
    if isinstance(value, bool | float) or (isinstance(value, int) and value in _INTEGERS):
        return value
    return json.dumps(dict(value) if isinstance(value, Mapping) else value)


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
