"""From the address of a store to the store: its folder, its kind, and the lock of its writer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from longembed_index.errors import StoreError
from longembed_index.store.protocol import Store, StoreInfo, StoreKind
from longembed_st.base.texts import escaped, is_url
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import cache_folder, write_text
from longembed_st.registry import load_entry_points

GROUP = "longembed_st.stores"
DEFAULT_KIND = "sqlite"
COLLECTION = "documents"
REMOTE = "longembed.remote"
"""In a folder of our cache that stands for a store elsewhere: the file with its URL."""
WHITENINGS = "whitening-*.safetensors"
"""Files beside a store's own, each under the digest of what is in it."""

_LOCK = "longembed.lock"
_OURS = (_LOCK, WHITENINGS, "longembed.words.*")
"""Files that may be in a folder before its store is."""
_VERSION_0_2 = ("chroma.sqlite3", "longembed.spans.sqlite3", "longembed.search.*.json")


@runtime_checkable
class RemoteStoreKind(StoreKind, Protocol):
    """A kind whose stores can also be elsewhere; a folder of our cache stands for each of them."""

    def accepts_url(self, url: str) -> bool:
        """Return whether a store can be at a URL."""


@dataclass(frozen=True)
class Address:
    """Where a store is.

    Attributes:
        directory: Its folder; of a store elsewhere, the folder that stands for it.
        kind: The kind that was asked for; None for what is there, or else for the default.
        url: The URL of a store elsewhere.
    """

    directory: Path
    kind: str | None = None
    url: str | None = None


def parse_address(text: str, kind: str | None = None) -> Address:
    """Return what the address of a store means.

    Args:
        text: `DIR`, `KIND:DIR`, or `KIND:SCHEME://PLACE` for a store elsewhere, which gets a
            folder in our cache.
        kind: The kind if the text does not begin with one.

    Raises:
        ConfigError: If the kind has no stores in such places, or there is a store of another kind.
    """
    name, colon, place = text.partition(":")
    # Only an address with a colon takes the time to look which kinds there are.
    if colon and not place.startswith("//") and name in kinds():
        if kind not in (None, name):
            raise ConfigError(f"{text!r} is of kind {name!r}, not {kind!r}. Name one of them")
        kind = name
    else:
        place = text
    if not place:
        raise ConfigError(f"{text!r} does not name a folder")
    if is_url(place):
        return _remote_address(text, kind, place.rstrip("/"))
    if kind is not None:
        find_kind(Path(place), kind)
    return Address(Path(place), kind)


def kinds() -> dict[str, StoreKind]:
    """Return all installed kinds of stores by name, the default last.

    Raises:
        ConfigError: If an installed package has registered something else.
    """
    installed: dict[str, StoreKind] = {}
    for name, where, loaded in load_entry_points(GROUP, "store kind"):
        kind = loaded() if callable(loaded) else loaded
        if not isinstance(kind, StoreKind):
            raise ConfigError(f"{where} is not a longembed_index.store.protocol.StoreKind")
        installed[name] = kind
    # Another kind can be the default one with something beside it.
    return dict(sorted(installed.items(), key=lambda item: item[0] == DEFAULT_KIND))


def find_kind(directory: Path, wanted: str | None = None) -> StoreKind:
    """Return the kind of the store in a folder, or of the one that could be made there.

    Args:
        directory: The folder; need not exist.
        wanted: The name of the kind; None for what is there, or else for the default.

    Raises:
        StoreError: If the folder has something else, or a store that must be converted.
        ConfigError: If there is no kind of this name, or a store of another kind.
    """
    installed = kinds()
    if wanted is not None and wanted not in installed:
        raise ConfigError(
            f"there is no store kind {wanted!r}; installed: {', '.join(sorted(installed))}"
        )
    new = installed[wanted or DEFAULT_KIND]
    if not directory.exists():
        return new
    if not directory.is_dir():
        raise StoreError(f"{escaped(directory)} is a file, not the folder of a store")
    entries = list(directory.iterdir())
    is_old = any(entry.match(pattern) for entry in entries for pattern in _VERSION_0_2)
    if is_old and not installed[DEFAULT_KIND].recognises(directory):
        raise StoreError(
            f"the store in {escaped(directory)} was made by version 0.2: convert it with "
            "`longembed convert OLD NEW`"
        )
    for name, kind in installed.items():
        if kind.recognises(directory):
            if wanted not in (None, name):
                raise ConfigError(
                    f"the store in {escaped(directory)} is of kind {name!r}, not {wanted!r}. Leave "
                    "the kind out, or name a new folder"
                )
            return kind
    if remote_url(directory) is None and not all(
        any(entry.match(pattern) for pattern in _OURS) for entry in entries
    ):
        raise StoreError(
            f"{escaped(directory)} is not a store: it has files, but none that an installed kind "
            f"of store ({', '.join(sorted(installed))}) knows. Name an empty or a new folder"
        )
    return new


def read_info(
    directory: Path, collection: str = COLLECTION, kind: str | None = None
) -> StoreInfo | None:
    """Return what a store is meant to hold, without loading a model.

    Args:
        directory: The folder of the store.
        collection: The name of the collection in it.
        kind: The name of the kind; None for what is there, or else for the default.

    Returns:
        None if there is no store yet, or no such collection in it.

    Raises:
        StoreError: If the folder has something else, or cannot be read.
        ConfigError: If what is stored there must not be acted on.
        MissingExtraError: If the library of this kind is not installed.
    """
    store_kind = find_kind(directory, kind)
    return store_kind.read_info(directory, collection) if directory.exists() else None


def open_store(
    directory: Path,
    collection: str = COLLECTION,
    kind: str | None = None,
    *,
    create: StoreInfo | None = None,
    write: bool = False,
) -> Store:
    """Open a store; hold `writer_lock` meanwhile if it is going to be written.

    Args:
        directory: The folder of the store.
        collection: The name of the collection in it.
        kind: The name of the kind; None for what is there, or else for the default.
        create: What a collection that does not exist yet is meant to hold; None to open only what
            exists.
        write: Whether the store is going to be written.

    Raises:
        StoreError: If there is nothing to open, or it cannot be opened.
        ConfigError: If there is a store of another kind.
        MissingExtraError: If the library of this kind is not installed.
    """
    store_kind = find_kind(directory, kind)
    if create is not None:
        directory.mkdir(parents=True, exist_ok=True)
    elif not directory.exists() or not store_kind.recognises(directory):
        raise StoreError(f"there is no store in {escaped(directory)}")
    return store_kind.open(directory, collection, create=create, write=write)


@contextmanager
def writer_lock(directory: Path, wait: float = 0) -> Iterator[None]:
    """Keep other writers out of a store for the length of a `with` block.

    Args:
        directory: The folder of the store; made if needed.
        wait: The seconds to wait for another writer.

    Raises:
        StoreError: If another process is writing, or the folder cannot be written.
    """
    with needs_extra("index", "filelock"):
        from filelock import FileLock, Timeout
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / _LOCK)
        # The system frees it when its holder dies, however it dies.
        lock.acquire(timeout=wait, poll_interval=0.05)
    except Timeout:
        raise StoreError(
            f"another process is writing to {escaped(directory)}. Try again when it is done, or "
            "wait with --wait SECONDS"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write to {escaped(directory)}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def remote_url(directory: Path) -> str | None:
    """Return the URL of the store for which a folder of our cache stands; None for other folders.

    A file that says so is believed in our cache only: in a folder from elsewhere, it could send
    documents to a stranger.
    """
    file = directory / REMOTE
    if not file.is_file() or directory.resolve().parent != _stand_ins().resolve():
        return None
    return file.read_text(encoding="utf8").strip()


def _remote_address(text: str, kind: str | None, url: str) -> Address:
    remote = {name: k for name, k in kinds().items() if isinstance(k, RemoteStoreKind)}
    if kind is None:
        able = [name for name, known in remote.items() if known.accepts_url(url)]
        raise ConfigError(
            f"{text} is not a folder. Of the installed kinds of stores, "
            f"{', '.join(able) or 'none'} can be there; its name goes before the address: "
            f"{(able or ['KIND'])[0]}:{url}"
        )
    if kind not in remote or not remote[kind].accepts_url(url):
        raise ConfigError(f"a store of kind {kind!r} cannot be at {url}. Name a folder")
    digest = hashlib.sha256(f"{kind}:{url}".encode()).hexdigest()[:16]
    directory = _stand_ins() / f"{kind}-{digest}"
    if remote_url(directory) is None:
        write_text(directory / REMOTE, url + "\n")
    return Address(directory, kind, url)


def _stand_ins() -> Path:
    with needs_extra("lancedb", "platformdirs"):
        return cache_folder() / "stores"
