"""A collection's name passes from the old vectors to the new ones, and a kill in between is healed.

Chroma renames one collection at a time. The new one is therefore marked complete before the old one
gives up the name; whoever then finds nobody under the name gives it to the one that waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chromadb.errors import ChromaError, NotFoundError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

WAITS_FOR = "longembed:waits_for"
COMPLETE = "longembed:complete"
KEPT_FROM = "longembed:kept_from"


def staging_name(name: str) -> str:
    """The name of the collection that is going to replace another.

    Args:
        name: The collection to be replaced.
    """
    return f"{name}.reindexing"


def find_collection(client: ClientAPI, name: str) -> Collection | None:
    """A collection without its embedding function, after a switch that was cut off is finished.

    Args:
        client: Any Chroma client.
        name: The collection.

    Returns:
        The collection, or None if there is none of this name.
    """
    found = _get(client, name)
    if found is not None:
        return found
    waiting = _get(client, staging_name(name))
    if waiting is not None and COMPLETE in (waiting.metadata or {}):
        _take_name(waiting, name)
    # Another process may have done the same, and been faster.
    return _get(client, name)


def switch(client: ClientAPI, name: str) -> str:
    """Give a collection's name to the one that waits for it.

    Args:
        client: Any Chroma client.
        name: The name; the collection that has it, and the one that waits for it, must exist.

    Returns:
        The name under which the old collection is kept.
    """
    waiting = client.get_collection(staging_name(name), embedding_function=None)
    old = client.get_collection(name, embedding_function=None)
    kept = next(free for free in _numbered(f"{name}.old") if _get(client, free) is None)
    waiting.modify(metadata={**_metadata(waiting), COMPLETE: True})
    old.modify(name=kept, metadata={**_metadata(old), KEPT_FROM: name})
    find_collection(client, name)
    return kept


def kept_collections(client: ClientAPI, name: str) -> list[str]:
    """The collections that a name has belonged to before.

    Args:
        client: Any Chroma client.
        name: The name.

    Returns:
        Their names now.
    """
    return [c.name for c in client.list_collections() if _metadata(c).get(KEPT_FROM) == name]


def _take_name(waiting: Collection, name: str) -> None:
    marks = {WAITS_FOR, COMPLETE}
    metadata = {key: value for key, value in _metadata(waiting).items() if key not in marks}
    try:
        waiting.modify(name=name, metadata=metadata)
    except ChromaError:
        # Taken meanwhile, by a process that did the same; what is found under the name decides.
        return


def _get(client: ClientAPI, name: str) -> Collection | None:
    try:
        return client.get_collection(name, embedding_function=None)
    except NotFoundError:
        return None


def _metadata(collection: Collection) -> dict[str, Any]:
    return dict(collection.metadata or {})


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}{number}"
        number += 1
