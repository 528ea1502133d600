"""From a folder to the store in it: the right kind, the right vectors, one writer at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from longembed_index.errors import LostVectorsError, StoreError
from longembed_index.repairing import refuse_lost
from longembed_index.spans import SpanFile, SpanKeeper
from longembed_index.store import REMOTE, KeepsSpans, Store, StoreKind
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.registry import load_entry_points

if TYPE_CHECKING:
    from longembed_st.base.provenance import Provenance

GROUP = "longembed_st.stores"
DEFAULT_KIND = "chroma"
COLLECTION = "documents"
_LOCK = "longembed.lock"
WHITENINGS = "whitening-*.safetensors"
"""Files beside a store's own, each under the digest of what is in it."""
_PATIENCE_SECONDS = 5
_PAUSE_SECONDS = 0.2
_LEAST_WAIT_SECONDS = 0.2
"""Readers hold the lock for an instant, to see whether somebody writes."""


class Model(Protocol):
    """A model, as far as its vectors may be put to stored ones; a `CachedModel` is one."""

    @property
    def provenance(self) -> Provenance:
        """How its vectors are made."""

    def is_compatible(self, stored: Provenance) -> bool:
        """Whether its vectors can be compared with stored ones."""

    def refuse_incompatible(self, stored: Provenance, what: str) -> None:
        """Raise `ConfigError` if they cannot."""


def kinds() -> dict[str, StoreKind]:
    """All installed kinds of stores, by name.

    Raises:
        ConfigError: If an installed package has registered something else.
    """
    found = {}
    for name, where, kind in load_entry_points(GROUP, "store kind"):
        made = kind() if callable(kind) else kind
        if not isinstance(made, StoreKind):
            raise ConfigError(f"{where} is no longembed_index.store.StoreKind")
        found[name] = made
    return found


def kind_of(directory: Path, wanted: str | None = None) -> StoreKind:
    """The kind of the store in a folder, or the kind of the one that could be made there.

    Args:
        directory: The folder; need not exist.
        wanted: The name of the kind; None for what is there, or else for the default.

    Raises:
        StoreError: If the place is taken by something else.
        ConfigError: If there is no kind of this name, or a store of another kind.
    """
    known = kinds()
    if wanted is not None and wanted not in known:
        raise ConfigError(f"there is no store kind {wanted!r}; installed: {', '.join(known)}")
    if directory.exists() and not directory.is_dir():
        raise StoreError(f"{escaped(directory)} is a file, not the folder of a store")
    for name, kind in known.items():
        if directory.exists() and kind.recognises(directory):
            if wanted not in (None, name):
                raise ConfigError(
                    f"the store in {escaped(directory)} is of kind {name!r}, not {wanted!r}. "
                    "Leave --store-kind out, or name a new folder"
                )
            return kind
    ours = (_LOCK, REMOTE, WHITENINGS)
    if directory.exists() and not all(
        any(entry.match(one) for one in ours) for entry in directory.iterdir()
    ):
        raise StoreError(
            f"{escaped(directory)} is not a store: it has files, but none that an installed kind "
            f"of store ({', '.join(known)}) knows. Name an empty or a new folder"
        )
    return known[wanted or DEFAULT_KIND]


def read_provenance(
    directory: Path, collection: str = COLLECTION, *, kind: str | None = None
) -> Provenance | None:
    """How a store's vectors were made; loads no model.

    Args:
        directory: The store's folder.
        collection: The name of the collection in it.
        kind: The name of the kind of store; None for what is there, or else for the default.

    Returns:
        None if there is no store yet, or no such collection in it.

    Raises:
        StoreError: If the folder is something else, or cannot be read.
        ConfigError: If its collection was not made by this package.
        MissingExtraError: If what such a store needs is not installed.
    """
    return kind_of(directory, kind).read_provenance(directory, collection)


def spans_in(
    directory: Path, collection: str = COLLECTION, *, kind: str | None = None
) -> SpanKeeper:
    """Where the spans of a store are: with it, if its kind keeps them, or in a file beside it.

    Args:
        directory: The store's folder; need not exist.
        collection: The name of the collection in it.
        kind: The name of the kind of store; None for what is there, or else for the default.

    Raises:
        StoreError: If the folder is something else.
        ConfigError: If there is no such kind, or a store of another one.
        MissingExtraError: If what such a store needs is not installed.
    """
    opener = kind_of(directory, kind)
    if isinstance(opener, KeepsSpans):
        return opener.spans(directory, collection)
    return SpanFile(directory, collection)


@contextmanager
def open_store(
    directory: Path,
    model: Model | None = None,
    *,
    collection: str = COLLECTION,
    kind: str | None = None,
    write: bool = False,
    wait: float = 0,
) -> Iterator[Store]:
    """Open a store for the length of a `with` block.

    Args:
        directory: The store's folder.
        model: Must make the vectors that the store holds; None to take the store as it is.
        collection: The name of the collection in it.
        kind: The name of the kind of store; None for what is there, or else for the default.
        write: Keep other writers out and, given a model, create what is not there.
        wait: How many seconds to wait for another writer to finish.

    Yields:
        The store.

    Raises:
        StoreError: If there is no store to open, the folder is something else, another process is
            writing, or, unless it is opened for writing, vectors of the store are lost.
        ConfigError: If the store's vectors were made with other settings.
    """
    opener = kind_of(directory, kind)
    is_there = directory.exists() and opener.recognises(directory)
    if not is_there and (model is None or not write):
        raise StoreError(f"there is no store in {escaped(directory)}")
    with ExitStack() as stack:
        create = None
        if write:
            stack.enter_context(_only_writer(directory, wait))
            create = model.provenance if model else opener.read_provenance(directory, collection)
            if create is None:
                raise StoreError(f"there is no collection {collection!r} in {escaped(directory)}")
        store = _enter(stack, opener, directory, collection, create)
        if model is not None:
            model.refuse_incompatible(store.provenance, "the store")
            # Who only reads need not be able to write.
            with nullcontext() if write else suppress(StoreError):
                note_place(store, model)
        yield store


def _enter(
    stack: ExitStack,
    opener: StoreKind,
    directory: Path,
    collection: str,
    create: Provenance | None,
) -> Store:
    """Open a store; one that is only read must be whole, if only when its writer has written."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with ExitStack() as attempt:
            try:
                store = attempt.enter_context(opener.open(directory, collection, create))
                if create is None:
                    refuse_lost(store)
            except LostVectorsError:
                if create is not None or not is_being_written(directory):
                    raise
                if time.monotonic() > until:
                    raise StoreError(
                        f"another process is writing to {escaped(directory)}, and not all of it can "
                        "be found at this moment. Try again"
                    ) from None
            else:
                stack.enter_context(attempt.pop_all())
                return store
        time.sleep(_PAUSE_SECONDS)


def note_place(store: Store, model: Model) -> None:
    """Let whoever opens a store next find its model where it is now.

    Args:
        store: Whose vectors the model makes.
        model: Perhaps under another name than is stored.
    """
    stored, now = store.provenance.settings, model.provenance.settings
    if (stored.model_name, stored.whitening) != (now.model_name, now.whitening):
        store.provenance = model.provenance


def is_being_written(directory: Path) -> bool:
    """Whether a process, perhaps this one, has a store open for writing.

    Args:
        directory: The store's folder.
    """
    with needs_extra("index", "filelock"):
        from filelock import FileLock, Timeout
    if not (directory / _LOCK).exists():
        return False
    try:
        with FileLock(directory / _LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        # Where not even a lock can be written, nobody writes.
        return False


@contextmanager
def _only_writer(directory: Path, wait: float) -> Iterator[None]:
    with needs_extra("index", "filelock"):
        from filelock import FileLock, Timeout
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / _LOCK)
        # The system frees it when its holder dies, however it dies.
        lock.acquire(timeout=max(wait, _LEAST_WAIT_SECONDS), poll_interval=0.05)
    except Timeout:
        raise StoreError(
            f"another process is writing to {escaped(directory)}. Try again when it is done, or "
            "let the command wait for it: --wait SECONDS"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write to {escaped(directory)}: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
