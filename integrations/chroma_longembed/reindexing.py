"""Replace the vectors in a collection of another program, as `longembed reindex` does in a store.

The new collection is filled beside the old one, which answers queries meanwhile. A run that was cut
off continues when it is started again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from chroma_longembed.collection import chroma_errors, provenance_of, stage_collection, stamp
from chroma_longembed.mirror import MIRROR_OF
from chroma_longembed.records import (
    ChromaRecord,
    delete_records,
    put_records,
    read_ids,
    read_records,
)
from chroma_longembed.switching import drop_kept, find_collection, metadata_of, staging_name, switch
from longembed_index.document import Document, Entry, Record
from longembed_index.maintain import reindex as maintain
from longembed_index.maintain.embedding import Embedded, batches, embedder_of
from longembed_index.maintain.report import Outcome
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.coverage import Coverage
from longembed_st.errors import ConfigError, InputError, LongEmbedError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from longembed_index.store.protocol import Store

_NO_TEXT = "\0"
"""The text of a record that has none."""


def reindex(
    client: ClientAPI,
    name: str,
    embedding_function: LongEmbedEmbeddingFunction,
    *,
    drop_old: bool = False,
    allow_missing: bool = False,
    restart: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> maintain.Reindexed:
    """Embed every document of a collection with other settings, and switch the name to the result.

    Documents are taken from the collection itself, with their ids and metadata. Other programs may
    read it all the while. What they write before the switch is taken over; on a server, let nobody
    write at the moment of the switch.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection; made by this package.
        embedding_function: The new settings.
        drop_old: Delete the old collection after the switch, and others kept earlier.
        allow_missing: Switch even if some documents cannot be embedded; the old collection has
            them.
        restart: Discard what an unfinished reindexing with other settings has left.
        on_outcome: Called once for every document.

    Returns:
        The report. Without `allow_missing`, a document that cannot be embedded prevents the switch.

    Raises:
        ConfigError: If there is no such collection, it has these settings already, it was not made
            by this package, or an unfinished reindexing has other settings.
        StoreError: If Chroma fails, or does not hold in the end what was written to it.
    """
    model = embedding_function.loaded
    embed_texts = embedder_of(model, units=False)

    def embed(texts: list[str]) -> list[Embedded | LongEmbedError]:
        results = iter(embed_texts([text for text in texts if text != _NO_TEXT]))
        missing = InputError("has a vector and no text")
        return [missing if text == _NO_TEXT else next(results) for text in texts]

    with chroma_errors("write"):
        collection = find_collection(client, name)
        if collection is None:
            raise ConfigError(f"there is no collection {name!r}")
        if MIRROR_OF in metadata_of(collection):
            raise ConfigError(
                f"the collection {name!r} mirrors a store: reindex that, with `longembed reindex`"
            )
        return maintain.reindex(
            cast("Store", _CollectionStore(client, collection)),
            model,
            embed,
            drop_old=drop_old,
            allow_missing=allow_missing,
            restart=restart,
            on_outcome=on_outcome,
        )


class _CollectionStore:
    """The methods of a store that reindexing calls, for a collection."""

    def __init__(self, client: ClientAPI, collection: Collection) -> None:
        self._client, self._collection = client, collection
        self._name = collection.name

    @property
    def info(self) -> StoreInfo:
        return StoreInfo(provenance_of(self._collection))

    def update_info(self, info: StoreInfo) -> None:
        metadata = {**metadata_of(self._collection), **stamp(info.provenance)}
        self._collection.modify(metadata=metadata)

    def __len__(self) -> int:
        return self._collection.count()

    def entries(self) -> Iterator[Entry]:
        for part in batches(read_ids(self._collection)):
            for record in read_records(self._collection, part):
                size, content_hash = len(record.text or ""), _hash(record)
                yield Entry(record.id, record.id, record.metadata, content_hash, size, 0, 0, 0)

    def get(self, ids: Sequence[str]) -> list[Record]:
        return [
            Record(
                Document(
                    record.id, _NO_TEXT if record.text is None else record.text, record.metadata
                ),
                np.zeros(0, np.float32),
                _hash(record),
                Coverage(0, 0, 0),
            )
            for record in read_records(self._collection, ids)
        ]

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        for part in batches(records):
            documents = [record.document for record in part]
            rows = [ChromaRecord(each.id, each.text, each.metadata) for each in documents]
            put_records(self._collection, rows, [record.vector for record in part])
        for ids in batches(sorted(delete)):
            delete_records(self._collection, ids)

    def staged(self) -> _CollectionStore | None:
        collection = find_collection(self._client, staging_name(self._name))
        return None if collection is None else _CollectionStore(self._client, collection)

    def stage(self, info: StoreInfo) -> _CollectionStore:
        metadata = metadata_of(self._collection)
        staged = stage_collection(self._client, self._collection, info.provenance, metadata)
        return _CollectionStore(self._client, staged)

    def switch(self) -> str:
        kept = switch(self._client, self._name)
        self._collection = self._client.get_collection(self._name, embedding_function=None)
        return kept

    def drop_replaced(self) -> list[str]:
        return drop_kept(self._client, self._name)


def _hash(record: ChromaRecord) -> str:
    content: Any = (record.text, sorted(record.metadata.items()))
    return hashlib.sha256(repr(content).encode()).hexdigest()
