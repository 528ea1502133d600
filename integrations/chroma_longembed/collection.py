"""The guard: a collection is only opened with the settings that made its vectors.

Chroma compares embedding functions by their name alone. Another method or window under the same
name would mix vectors that cannot be compared, and no query would show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chroma_longembed import settings
from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
from chroma_longembed.switching import find_collection
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

FINGERPRINT = "longembed:fingerprint"
SETTINGS = "longembed:settings"


def open_collection(
    client: ClientAPI, name: str, embedding_function: LongEmbedEmbeddingFunction | None = None
) -> Collection:
    """Open a collection, or create it, and make sure that its vectors are of one kind.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection.
        embedding_function: How new vectors are made. None takes the stored settings, and creates
            nothing.

    Returns:
        The collection, with the embedding function attached.

    Raises:
        ConfigError: If there is no such collection and no embedding function to create it with, if
            the collection was not made by this package, or if its vectors were made with other
            settings; each differing setting is named.
    """
    stored = stored_settings(client, name)
    if embedding_function is None:
        if stored is None:
            raise ConfigError(f"there is no collection {name!r}")
        embedding_function = LongEmbedEmbeddingFunction.build_from_config(stored)
    config = embedding_function.get_config()
    if stored is None:
        # Create or get: another process may have been faster, and then what is there decides.
        client.get_or_create_collection(
            name,
            embedding_function=embedding_function,  # type: ignore[arg-type]
            metadata=stamp(embedding_function),
        )
        stored = stored_settings(client, name) or {}
    settings.refuse_other_vectors(stored, config, f"the collection {name!r}")
    collection = client.get_collection(name, embedding_function=embedding_function)  # type: ignore[arg-type]
    if stored["model_name"] != config["model_name"]:
        # The same model in another place: the next one to open this should find it.
        collection.modify(metadata={**(collection.metadata or {}), **stamp(embedding_function)})
    return collection


def stamp(embedding_function: LongEmbedEmbeddingFunction) -> dict[str, str]:
    """The metadata that tell how a collection's vectors are made.

    Args:
        embedding_function: Makes the vectors.

    Returns:
        The fingerprint and the settings, as strings.
    """
    config = embedding_function.get_config()
    # Without the device: whoever opens this next may be on another machine.
    stored_config = settings.to_json({**config, "device": None})
    return {FINGERPRINT: config["fingerprint"], SETTINGS: stored_config}


def stored_settings(client: ClientAPI, name: str) -> settings.Settings | None:
    """The settings that a collection's vectors were made with.

    Args:
        client: Any Chroma client.
        name: The collection.

    Returns:
        The settings with their fingerprint, or None if there is no such collection.

    Raises:
        ConfigError: If the collection was not made by this package.
    """
    collection = find_collection(client, name)
    if collection is None:
        return None
    metadata: dict[str, Any] = dict(collection.metadata or {})
    if isinstance(metadata.get(SETTINGS), str):
        return settings.from_json(metadata[SETTINGS]) | {"fingerprint": metadata.get(FINGERPRINT)}
    # Made by Chroma's own create_collection: its copy of the settings has the fingerprint, too.
    function = collection.configuration_json.get("embedding_function") or {}
    if function.get("name") == LongEmbedEmbeddingFunction.name():
        return settings.from_json(settings.to_json(function["config"]))
    maker = function.get("name", "an unknown embedding function")
    raise ConfigError(
        f"the collection {name!r} was not made by longembed but by {maker}: its vectors cannot be "
        "compared with ours. Choose another name"
    )
