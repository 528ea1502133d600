"""Reads what version 0.2 wrote: records in Chroma, and files of ours beside its own."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from chromadb.errors import ChromaError

from chroma_longembed.client import connected
from chroma_longembed.collection import provenance_of
from chroma_longembed.records import ChromaRecord, read_ids, read_records
from chroma_longembed.switching import KEPT_FROM, WAITS_FOR, find_collection, metadata_of
from longembed_index.document import Record
from longembed_index.errors import StoreError
from longembed_index.maintain.convert import (
    OF_ANOTHER_PROGRAM,
    VECTOR_LOST,
    is_ours,
    old_ranking,
    old_record,
)
from longembed_index.maintain.embedding import batches
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.texts import escaped

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI
    from numpy.typing import NDArray

COPIES = "longembed.vectors.sqlite3"
_AT_ONCE = 100


class OldChromaStore:
    """A collection in Chroma; see `longembed_index.maintain.convert.OldStore`.

    Vectors come from our copy of them where there is one: Chroma's own may be lost.

    Raises:
        StoreError: If it does not exist, or cannot be read.
        ConfigError: If it was not made by longembed.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        with self._connected() as client:
            collection = _find(client, name)
            self._key = str(collection.id)
            provenance = provenance_of(collection)
            self.other_collections = _other_collections(client, name)
        words = f"longembed.words.{quote(name, safe='')}.sqlite3"
        language = self._select(words, "SELECT value FROM settings WHERE name = 'language'")
        self.info = StoreInfo(
            provenance,
            language=language[0][0] if language else None,
            ranking=old_ranking(directory, name),
        )

    def records(self, on_left_out: Callable[[str, str], None]) -> Iterator[Record]:
        """Yield its documents with their vectors."""
        with self._connected() as client:
            collection = _find(client, self._name)
            for ids in batches(read_ids(collection), _AT_ONCE):
                records = []
                for record in read_records(collection, ids):
                    if is_ours(record.metadata):
                        records.append(record)
                    else:
                        on_left_out(record.id, OF_ANOTHER_PROGRAM)
                vectors = self._vectors(collection, records)
                for key, text, metadata in records:
                    if key in vectors:
                        yield old_record(metadata, text, vectors[key])
                    else:
                        on_left_out(metadata["source"], VECTOR_LOST)

    def _vectors(
        self, collection: Collection, records: Sequence[ChromaRecord]
    ) -> Mapping[str, NDArray[np.float32]]:
        digests = {_key_of(record.id): _digest(record.text) for record in records}
        rows = self._select(
            COPIES,
            "SELECT id, text, vector, checksum FROM vectors WHERE collection = ? AND id IN "
            f"({', '.join('?' * len(digests))})",
            self._key,
            *digests,
        )
        vectors = {
            _id_of(key): np.frombuffer(vector, dtype="<f4")
            for key, digest, vector, checksum in rows
            if digest == digests[key] and checksum == zlib.crc32(vector)
        }
        vectors |= _readable_vectors(
            collection, [record.id for record in records if record.id not in vectors]
        )
        return vectors

    def _select(self, file: str, query: str, *values: object) -> list[Any]:
        """Return the rows of a file beside Chroma's; none if there is no such file."""
        path = self._directory / file
        if not path.is_file():
            return []
        try:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True)) as database:
                return database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot read {escaped(path)}: {error}. Without this file, the rest can be "
                "converted: move it away"
            ) from error

    def _connected(self) -> AbstractContextManager[ClientAPI]:
        hint = (
            ". It opens a store only where it can write: if this place cannot be written, copy it"
        )
        return connected(str(self._directory), "read", hint)


def _find(client: ClientAPI, name: str) -> Collection:
    collection = find_collection(client, name)
    if collection is None:
        names = ", ".join(_other_collections(client, name))
        raise StoreError(f"there is no collection {name!r} in the store; there are: {names}")
    return collection


def _other_collections(client: ClientAPI, name: str) -> list[str]:
    """Return the collections of documents, without those of a reindexing."""
    marks = {KEPT_FROM, WAITS_FOR}
    collections = client.list_collections()
    return sorted(
        other.name
        for other in collections
        if other.name != name and not marks & metadata_of(other).keys()
    )


def _readable_vectors(collection: Collection, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return the vectors that Chroma still has: one that it has lost fails all that are asked."""
    if not ids:
        return {}
    try:
        columns: Any = collection.get(ids=list(ids), include=["embeddings"])
    except ChromaError:
        if len(ids) == 1:
            return {}
        middle = len(ids) // 2
        first, second = ids[:middle], ids[middle:]
        return _readable_vectors(collection, first) | _readable_vectors(collection, second)
    return dict(zip(columns["ids"], columns["embeddings"], strict=True))


def _digest(text: str | None) -> bytes:
    return hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _key_of(record_id: str) -> bytes:
    return record_id.encode("utf-8", "surrogatepass")


def _id_of(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")
