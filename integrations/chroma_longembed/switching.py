"""A collection's name passes from old vectors to new ones, and a kill in between is mended.

Chroma renames one collection at a time. The new one is therefore marked complete before the old one
gives up the name; whoever then finds no collection of the name gives it to the one that waits.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from chromadb.errors import ChromaError, NotFoundError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

WAITS_FOR = "longembed:waits_for"
COMPLETE = "longembed:complete"
KEPT_FROM = "longembed:kept_from"


def staging_name(name: str) -> str:
    """Return the name of the collection that is going to replace another."""
    return f"{name}.reindexing"


def find_collection(client: ClientAPI, name: str) -> Collection | None:
    """Return a collection without its embedding function; None if there is none of this name.

    A switch that was cut off is finished first.
    """
    collection = _get(client, name)
    if collection is not None:
        return collection
    waiting = _get(client, staging_name(name))
    if waiting is not None and COMPLETE in metadata_of(waiting):
        _take_name(waiting, name)
    # Another process may have done the same, and been faster.
    return _get(client, name)


def switch(client: ClientAPI, name: str) -> str:
    """Give a collection's name to the one that waits for it, and return the old one's new name."""
    waiting = client.get_collection(staging_name(name), embedding_function=None)
    old = client.get_collection(name, embedding_function=None)
    names = (f"{name}.old{number if number > 1 else ''}" for number in itertools.count(1))
    kept = next(free for free in names if _get(client, free) is None)
    waiting.modify(metadata={**metadata_of(waiting), COMPLETE: True})
    old.modify(name=kept, metadata={**metadata_of(old), KEPT_FROM: name})
    find_collection(client, name)
    return kept


def drop_kept(client: ClientAPI, name: str) -> list[str]:
    """Delete the collections that a name has belonged to before, and return their names."""
    collections = client.list_collections()
    kept = [old.name for old in collections if metadata_of(old).get(KEPT_FROM) == name]
    for old_name in kept:
        client.delete_collection(old_name)
    return kept


def metadata_of(collection: Collection) -> dict[str, Any]:
    """Return a collection's metadata; empty if there are none."""
    return dict(collection.metadata or {})


def _take_name(waiting: Collection, name: str) -> None:
    marks = {WAITS_FOR, COMPLETE}
    metadata = {key: value for key, value in metadata_of(waiting).items() if key not in marks}
    try:
        waiting.modify(name=name, metadata=metadata)
    except ChromaError:
        # Another process has taken the name meanwhile; the collection of the name decides.
        return


def _get(client: ClientAPI, name: str) -> Collection | None:
    try:
        return client.get_collection(name, embedding_function=None)
    except NotFoundError:
        return None
