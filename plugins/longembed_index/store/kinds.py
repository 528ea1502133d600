"""Open a store by its address: find its folder and its kind, and lock it for writing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from longembed_index.errors import StoreError
from longembed_index.store.protocol import Store, StoreInfo, StoreKind
from longembed_index.store.sqlite import FILE_NAME, SqliteStores
from longembed_st.base.texts import escaped, is_url
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import cache_folder, write_text
from longembed_st.registry import load_entry_points

GROUP = "longembed_st.stores"
DEFAULT_KIND = "sqlite"
COLLECTION = "documents"
REMOTE = "longembed.remote"
"""The file with the URL of a remote store, in the local folder of that store."""
WHITENINGS = "whitening-*.safetensors"
"""The whitening files in the folder of a store, each named by the digest of its content."""

_LOCK = "longembed.lock"
_OURS = (_LOCK, WHITENINGS, "longembed.words.*")
"""Files that can be in a folder before the store itself is written."""
_VERSION_0_2 = ("longembed.spans.sqlite3", "longembed.search.*.json")
"""Files by which a store of version 0.2 is recognised."""
_CHROMA = "chroma.sqlite3"
"""Of version 0.2, if no kind recognises its folder."""


@runtime_checkable
class RemoteStoreKind(StoreKind, Protocol):
    """A kind whose stores can be remote: each has a URL, and a local folder in the cache."""

    def accepts_url(self, url: str) -> bool:
        """Return whether this kind can open a store at a URL."""


@dataclass(frozen=True)
class Address:
    """The address of a store.

    Attributes:
        directory: The folder of the store; for a remote store, its local folder in the cache.
        kind: The requested kind; None for the kind that is stored there, or else the default.
        url: The URL of a remote store; None for a local one.
    """

    directory: Path
    kind: str | None = None
    url: str | None = None


def parse_address(text: str, kind: str | None = None) -> Address:
    """Parse the address of a store.

    A remote store gets a local folder in the cache.

    Args:
        text: `DIR`, `KIND:DIR`, or `KIND:SCHEME://PLACE` for a remote store.
        kind: The kind if the text does not begin with one.

    Raises:
        ConfigError: If the kind cannot open the URL, or there is a store of another kind.
    """
    name, colon, place = text.partition(":")
    # Loading the installed kinds takes time, so do it only if there is a colon.
    if colon and not place.startswith("//") and name in kinds():
        if kind not in (None, name):
            raise ConfigError(f"{text!r} is of kind {name!r}, not {kind!r}. Name only one kind")
        kind = name
    else:
        place = text
    if not place:
        raise ConfigError(f"{text!r} does not name a folder. Add one after the colon")
    if is_url(place):
        return _remote_address(text, kind, place.rstrip("/"))
    if kind is not None:
        find_kind(Path(place), kind)
    return Address(Path(place), kind)


def kinds() -> dict[str, StoreKind]:
    """Return all installed kinds of stores by name, the default last.

    Raises:
        ConfigError: If an installed package has registered something that is not a store kind.
    """
    installed: dict[str, StoreKind] = {}
    for name, where, loaded in load_entry_points(GROUP, "store kind"):
        kind = loaded() if callable(loaded) else loaded
        if not isinstance(kind, StoreKind):
            raise ConfigError(f"{where} is not a longembed_index.store.protocol.StoreKind")
        installed[name] = kind
    # The default is recognised last: the folder of another kind can hold its file, too.
    return dict(sorted(installed.items(), key=lambda item: item[0] == DEFAULT_KIND))


def find_kind(directory: Path, wanted: str | None = None) -> StoreKind:
    """Return the kind of the store in a folder, or the kind for a new store there.

    Args:
        directory: The folder; it need not exist.
        wanted: The name of the kind; None for the kind that is stored there, or else the default.

    Raises:
        StoreError: If the folder has other files, or a store that must be converted.
        ConfigError: If no installed kind has this name, or there is a store of another kind.
    """
    # Loading the other kinds takes time.
    if wanted in (None, DEFAULT_KIND) and _has_only_our_files(directory):
        return SqliteStores()
    installed = kinds()
    if wanted is not None and wanted not in installed:
        raise ConfigError(
            f"there is no store kind {wanted!r}. Installed kinds: {', '.join(sorted(installed))}"
        )
    new = installed[wanted or DEFAULT_KIND]
    if not directory.exists():
        return new
    if not directory.is_dir():
        raise StoreError(f"{escaped(directory)} is a file, not the folder of a store")
    entries = list(directory.iterdir())
    recognised = {name: kind for name, kind in installed.items() if kind.recognises(directory)}
    is_old = any(entry.match(pattern) for entry in entries for pattern in _VERSION_0_2)
    is_old_chroma = (directory / _CHROMA).exists() and not recognised
    if is_old_chroma or (is_old and DEFAULT_KIND not in recognised):
        raise StoreError(
            f"the store in {escaped(directory)} was made by version 0.2. Convert it with "
            "`longembed convert OLD NEW`"
        )
    for name, kind in recognised.items():
        if wanted not in (None, name):
            raise ConfigError(
                f"the store in {escaped(directory)} is of kind {name!r}, not {wanted!r}. Leave the "
                "kind out, or name a new folder"
            )
        return kind
    if remote_url(directory) is None and not all(
        any(entry.match(pattern) for pattern in _OURS) for entry in entries
    ):
        stray = (
            f" A file {REMOTE} counts in the cache only." if (directory / REMOTE).exists() else ""
        )
        raise StoreError(
            f"{escaped(directory)} is not a store: no installed kind "
            f"({', '.join(sorted(installed))}) recognises its files.{stray} Name an empty or a new "
            "folder"
        )
    return new


def _has_only_our_files(directory: Path) -> bool:
    """Return whether a folder does not exist, or has only files that a SQLite store can have."""
    if not directory.is_dir():
        return not directory.exists()
    # SQLite's own files beside a file that somebody has removed are not a store.
    ours = (*_OURS, f"{FILE_NAME}*") if (directory / FILE_NAME).exists() else _OURS
    return all(any(map(entry.match, ours)) for entry in directory.iterdir())


def read_info(
    directory: Path, collection: str = COLLECTION, kind: str | None = None
) -> StoreInfo | None:
    """Return the description of a store, without loading a model.

    Args:
        directory: The folder of the store.
        collection: The name of the collection in it.
        kind: The name of the kind; None for the kind that is stored there, or else the default.

    Returns:
        The description; None if the store or the collection does not exist yet.

    Raises:
        StoreError: If the folder has other files, or cannot be read.
        ConfigError: If there is a store of another kind, or what is stored there must not be used.
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
    """Open a store.

    To write to it, hold its `writer_lock` for as long as it is open.

    Args:
        directory: The folder of the store.
        collection: The name of the collection in it.
        kind: The name of the kind; None for the kind that is stored there, or else the default.
        create: The description of the collection if it does not exist yet; None to open only an
            existing one.
        write: Whether to open it for writing.

    Raises:
        StoreError: If the store does not exist or cannot be opened.
        ConfigError: If there is a store of another kind.
        MissingExtraError: If the library of this kind is not installed.
    """
    store_kind = find_kind(directory, kind)
    if create is not None:
        directory.mkdir(parents=True, exist_ok=True)
    elif not directory.exists() or not store_kind.recognises(directory):
        raise StoreError(f"there is no store in {escaped(directory)}. Check the folder")
    return store_kind.open(directory, collection, create=create, write=write)


@contextmanager
def writer_lock(directory: Path, wait: float = 0) -> Iterator[None]:
    """Keep other writers out of a store for the length of a `with` block.

    Args:
        directory: The folder of the store; created if it does not exist.
        wait: The seconds to wait for another writer.

    Raises:
        StoreError: If another process is writing, or the folder cannot be written.
    """
    with needs_extra("index", "filelock"):
        from filelock import FileLock, Timeout
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / _LOCK)
        # The operating system releases the lock if its holder is killed.
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
    """Return the URL of the remote store of a folder in the cache; None for all other folders.

    The file with the URL is ignored outside the cache: a folder from a stranger could have such a
    file, and send documents to the stranger's server.
    """
    file = directory / REMOTE
    if not file.is_file() or directory.resolve().parent != _stand_ins().resolve():
        return None
    return file.read_text(encoding="utf8").strip()


def _remote_address(text: str, kind: str | None, url: str) -> Address:
    remote = {name: k for name, k in kinds().items() if isinstance(k, RemoteStoreKind)}
    if kind is None:
        suitable = [name for name, known in remote.items() if known.accepts_url(url)]
        raise ConfigError(
            f"{text} is a URL. Installed kinds of stores that can open it: "
            f"{', '.join(suitable) or 'none'}. Put the name of the kind before the URL: "
            f"{(suitable or ['KIND'])[0]}:{url}"
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
