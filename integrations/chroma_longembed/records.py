"""Reading and replacing the records of a collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from chroma_longembed.collection import chroma_errors
from chroma_longembed.embedding_function import without_models

if TYPE_CHECKING:
    import numpy as np
    from chromadb import Collection
    from numpy.typing import NDArray

_PAGE = 1000


class ChromaRecord(NamedTuple):
    """A record of a collection, without its vector."""

    id: str
    text: str | None
    metadata: Mapping[str, Any]


def read_ids(collection: Collection) -> list[str]:
    """Return the ids of all records."""
    with chroma_errors("read"):
        return list(collection.get(include=[])["ids"])


def read_records(collection: Collection, ids: Sequence[str]) -> list[ChromaRecord]:
    """Return the records that exist among some, in any order."""
    if not ids:
        # Chroma takes no ids for all of them.
        return []
    with chroma_errors("read"):
        columns: Any = collection.get(ids=list(ids), include=["documents", "metadatas"])
    rows = zip(columns["ids"], columns["documents"], columns["metadatas"], strict=True)
    return [ChromaRecord(key, text, metadata or {}) for key, text, metadata in rows]


def read_metadata(collection: Collection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the id and the metadata of all records."""
    offset = 0
    while True:
        with chroma_errors("read"):
            page: Any = collection.get(limit=_PAGE, offset=offset, include=["metadatas"])
        if not page["ids"]:
            return
        for key, metadata in zip(page["ids"], page["metadatas"], strict=True):
            yield key, metadata or {}
        offset += len(page["ids"])


def put_records(
    collection: Collection, records: Sequence[ChromaRecord], vectors: Sequence[NDArray[np.float32]]
) -> None:
    """Add or replace records, metadata included; no more than Chroma takes at once."""
    if not records:
        return
    ids = [record.id for record in records]
    with chroma_errors("read"):
        stored: Any = collection.get(ids=ids, include=["metadatas"])
    earlier = dict(zip(stored["ids"], stored["metadatas"], strict=True))
    columns: dict[str, Any] = {
        "ids": ids,
        "documents": [record.text for record in records],
        "embeddings": list(vectors),
        # Chroma leaves a key as it was unless it is named, and removes it for None.
        "metadatas": [
            {**dict.fromkeys(earlier.get(record.id) or ()), **record.metadata} or None
            for record in records
        ],
    }
    # The vectors exist: the model by which Chroma could make them is not needed.
    with chroma_errors("write"), without_models():
        collection.upsert(**columns)


def delete_records(collection: Collection, ids: Sequence[str]) -> None:
    """Remove records; those that do not exist are passed over."""
    if ids:
        with chroma_errors("write"):
            collection.delete(ids=list(ids))
