"""The guard: a collection is only opened with the settings that made its vectors.

Chroma compares embedding functions by their name alone. Another method or window under the same
name would mix vectors that cannot be compared, and no query would show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chromadb.errors import ChromaError, InvalidArgumentError

from chroma_longembed.embedding_function import Described, LongEmbedEmbeddingFunction
from chroma_longembed.switching import WAITS_FOR, find_collection, metadata_of, staging_name
from longembed_index.errors import StoreError
from longembed_st.base.provenance import Provenance
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from typing import Protocol

    from chromadb import Collection
    from chromadb.api import ClientAPI

    class Model(Protocol):
        """What knows how its vectors are made."""

        @property
        def provenance(self) -> Provenance:
            """Return the model and the settings that make the vectors."""


FINGERPRINT = "longembed:fingerprint"
SETTINGS = "longembed:settings"


def open_collection(
    client: ClientAPI, name: str, embedding_function: LongEmbedEmbeddingFunction | None = None
) -> Collection:
    """Open a collection, or create it, and make sure that its vectors are of one kind.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection.
        embedding_function: Makes new vectors. None takes the stored settings, and creates nothing.

    Returns:
        The collection, with the embedding function attached.

    Raises:
        ConfigError: If there is no such collection and no embedding function to create it with, if
            the collection was not made by this package, or if its vectors were made with other
            settings; each differing setting is named.
    """
    if embedding_function is None:
        stored = stored_provenance(client, name)
        if stored is None:
            raise ConfigError(f"there is no collection {name!r}")
        # A device or a folder for models that the collection names is not ours.
        config = stored.portable().to_dict()
        embedding_function = LongEmbedEmbeddingFunction.build_from_config(config)
    now = embedding_function.provenance
    stored = create_collection(client, name, now)
    embedding_function.loaded.refuse_incompatible(stored, f"the collection {name!r}")
    collection = client.get_collection(name, embedding_function=embedding_function)
    if stored.settings.model_name != now.settings.model_name:
        # The same model in another place: the next one to open this should find it.
        collection.modify(metadata={**metadata_of(collection), **stamp(now)})
    return collection


def guard(client: ClientAPI, name: str, embeddings: Model) -> None:
    """Make sure that a framework's store in Chroma holds vectors of one kind.

    Call it before LangChain's `Chroma` or LlamaIndex's `ChromaVectorStore` opens the collection:
    neither compares the settings of the embeddings with those of what is stored.

    Args:
        client: Any Chroma client, which the framework's store then gets, too.
        name: The collection; created if it does not exist.
        embeddings: `LongEmbedEmbeddings`, `LongEmbedEmbedding`, or anything else with a
            `provenance`.

    Raises:
        ConfigError: If the collection was not made by this package, or if its vectors were made
            with other settings; each differing setting is named.
    """
    now = embeddings.provenance
    stored = create_collection(client, name, now)
    stored.refuse_incompatible(now, f"the collection {name!r}")


def create_collection(
    client: ClientAPI, name: str, provenance: Provenance, marks: Mapping[str, Any] | None = None
) -> Provenance:
    """Create a collection unless it exists, and return how its vectors are made; load no model.

    Raises:
        ConfigError: If it exists and was not made by this package, or cannot have this name.
    """
    stored = stored_provenance(client, name)
    if stored is None:
        # Create or get: another process may have been faster, and then what exists decides.
        try:
            client.get_or_create_collection(
                name,
                embedding_function=Described(provenance),
                metadata={**stamp(provenance), **(marks or {})},
            )
        except InvalidArgumentError as error:
            raise ConfigError(
                f"Chroma does not take {name!r} as the name of a collection: {error}"
            ) from error
        stored = stored_provenance(client, name)
    return stored or provenance


def stage_collection(
    client: ClientAPI, old: Collection, provenance: Provenance, metadata: Mapping[str, Any]
) -> Collection:
    """Create an empty collection, with the index settings of the one that it will replace.

    An earlier one of this kind is discarded.
    """
    name = staging_name(old.name)
    if find_collection(client, name) is not None:
        client.delete_collection(name)
    configuration: Any = {"hnsw": old.configuration_json.get("hnsw")}
    return client.create_collection(
        name,
        embedding_function=Described(provenance),
        configuration=configuration,
        metadata={**metadata, **stamp(provenance), WAITS_FOR: old.name},
    )


def stamp(provenance: Provenance) -> dict[str, str]:
    """Return the metadata that tell how a collection's vectors are made."""
    return {FINGERPRINT: str(provenance.fingerprint), SETTINGS: provenance.portable().to_json()}


def stored_provenance(client: ClientAPI, name: str) -> Provenance | None:
    """Return how a collection's vectors were made; None if there is no such collection.

    Raises:
        ConfigError: If the collection was not made by this package.
    """
    collection = find_collection(client, name)
    return None if collection is None else provenance_of(collection)


def provenance_of(collection: Collection) -> Provenance:
    """Return how a collection's vectors were made; `ConfigError` if not by this package."""
    metadata = metadata_of(collection)
    if isinstance(metadata.get(SETTINGS), str):
        stored = Provenance.from_json(metadata[SETTINGS])
        return replace(stored, fingerprint=metadata.get(FINGERPRINT))
    # Made by Chroma's own create_collection: its copy of the settings has the fingerprint, too.
    function = collection.configuration_json.get("embedding_function") or {}
    if function.get("name") == LongEmbedEmbeddingFunction.name():
        return Provenance.from_dict(function["config"])
    maker = function.get("name", "an unknown embedding function")
    raise ConfigError(
        f"the collection {collection.name!r} was not made by longembed but by {maker}: its vectors "
        "cannot be compared with ours. Choose another name"
    )


@contextmanager
def chroma_errors(action: str) -> Iterator[None]:
    """Turn Chroma's errors into `StoreError`; the action is "read" or "write", for the message."""
    try:
        yield
    except ChromaError as error:
        raise StoreError(f"cannot {action} the collection in Chroma: {error}") from error
