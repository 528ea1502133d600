"""Read the chunks that another program has put into a Chroma collection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longembed_index.documents.chunks import Chunk
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped, is_url
from longembed_st.extras import needs_extra

_AT_ONCE = 1_000


def read_chunks(address: str) -> Iterator[Chunk]:
    """Yield the chunks of a collection, in its order, without their vectors.

    Args:
        address: `DIR#collection`, or the URL of a server instead of the folder; the name can be
            left out if there is one collection only.

    Raises:
        StoreError: If there is no such collection, or Chroma cannot read it.
        MissingExtraError: If Chroma is not installed.
    """
    with needs_extra("chroma", "chromadb"):
        from chroma_longembed.client import connected
    place, _, name = address.partition("#")
    # Chroma would make a new database.
    if not is_url(place) and not (Path(place) / "chroma.sqlite3").is_file():
        raise StoreError(f"there is no Chroma database in {escaped(place)}. Name its folder")
    with connected(place, "read") as client:
        names = sorted(collection.name for collection in client.list_collections())
        if not name and len(names) == 1:
            (name,) = names
        if name not in names:
            asked = f"there is no collection {name!r}" if name else "name a collection"
            known = ", ".join(names) or "none"
            raise StoreError(f"{asked} (chroma:{escaped(place)}#NAME); there are: {known}")
        # Without its embedding function, which may need a library or a key.
        collection = client.get_collection(name, embedding_function=None)
        for start in range(0, collection.count(), _AT_ONCE):
            rows: Any = collection.get(
                limit=_AT_ONCE, offset=start, include=["documents", "metadatas"]
            )
            for key, text, metadata in zip(
                rows["ids"], rows["documents"], rows["metadatas"], strict=True
            ):
                yield Chunk(key, text, metadata or {})
