"""Stores of version 0.2 become stores of this version: nothing is embedded again.

Vectors of spans, which they may have, do not become sentence units: those are made by reindexing.
How an old store is read is the business of its kind: one that `ReadsOldStores`.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from urllib.parse import quote

from pydantic import ValidationError

from longembed_index.document import Document, Record
from longembed_index.errors import StoreError
from longembed_index.lexical.index import WordIndex
from longembed_index.maintain.embedding import with_whitening_in_folder
from longembed_index.maintain.report import Outcome, Report
from longembed_index.search.ranking import Ranking
from longembed_index.store.kinds import (
    COLLECTION,
    kinds,
    open_store,
    parse_address,
    writer_lock,
)
from longembed_index.store.vectors import unit_vectors
from longembed_st.base.coverage import Coverage
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from longembed_index.store.protocol import StoreInfo

_TEXT_KEYS, _COUNT_KEYS = ("source", "content_hash"), ("tokens", "read", "windows")
_OWN_KEYS = {*_TEXT_KEYS, *_COUNT_KEYS, "title"}
_AT_ONCE = 100

OF_ANOTHER_PROGRAM = "was not written by longembed: it stays in the old store"
VECTOR_LOST = "its vector is lost: index the document again"


class OldStore(Protocol):
    """A collection that version 0.2 wrote."""

    @property
    def info(self) -> StoreInfo:
        """Return the description of the store."""

    @property
    def other_collections(self) -> list[str]:
        """Return the names of the other collections in the same place."""

    def records(self, on_left_out: Callable[[str, str], None]) -> Iterator[Record]:
        """Yield its documents with their vectors.

        Args:
            on_left_out: Called with the name of a record that cannot be converted, and why.
        """


@runtime_checkable
class ReadsOldStores(Protocol):
    """A kind of store of which there are stores of version 0.2."""

    def read_old(self, directory: Path, collection: str) -> OldStore | None:
        """Return a collection that version 0.2 wrote; None if there is none of this kind."""


@dataclass(frozen=True)
class Converted:
    """What a conversion has done.

    Attributes:
        report: What became of every document; "unchanged" are those that the new store had
            already, "failed" those that were left out.
        directory: The folder of the new store.
        other_collections: The names of other collections of the old store, which were not
            converted.
    """

    report: Report
    directory: Path
    other_collections: list[str]


def convert(
    old: str | PathLike[str],
    new: str | PathLike[str],
    *,
    collection: str = COLLECTION,
    kind: str | None = None,
    wait: float = 0,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Converted:
    """Write the documents of a store of version 0.2 to a store of this version.

    The old store stays as it is. A conversion that was cut off is finished by running it again.

    Args:
        old: The address of the old store.
        new: The address of the new one.
        collection: The collection to convert, which keeps its name.
        kind: The kind of the new store, if its address does not begin with one.
        wait: The seconds to wait for another writer.
        on_outcome: Called for every document as soon as its fate is settled.

    Raises:
        ConfigError: If both are the same place, or the new store has vectors of another model.
        StoreError: If there is no old store, or one of the two cannot be read or written.
    """
    began = time.perf_counter()
    source = parse_address(fspath(old)).directory
    address = parse_address(fspath(new), kind)
    if source.resolve() == address.directory.resolve():
        raise ConfigError("the new store must be in another place than the old one")
    old_store = _find_old(source, collection)
    report = Report()

    def settle(outcome: Outcome) -> None:
        report.add(outcome)
        on_outcome(outcome)

    def leave_out(name: str, reason: str) -> None:
        settle(Outcome(name, "failed", reason=reason))

    with writer_lock(address.directory, wait):
        info = _with_whitening(old_store.info, source, address.directory)
        store = open_store(address.directory, collection, address.kind, create=info, write=True)
        try:
            what = f"the store in {escaped(address.directory)}"
            store.info.provenance.refuse_incompatible(info.provenance, what)
            known = {entry.id for entry in store.entries()}
            records = _without(known, old_store.records(leave_out), settle)
            while batch := list(itertools.islice(records, _AT_ONCE)):
                store.write(batch)
                for record in batch:
                    settle(Outcome(record.document.id, "added", len(record.document.text)))
            if store.lexical() is None:
                WordIndex(address.directory, collection).update(store)
            report.in_store = len(store)
        finally:
            store.close()
    report.seconds = time.perf_counter() - began
    return Converted(report, address.directory, old_store.other_collections)


def old_record(
    metadata: Mapping[str, Any],
    text: str | None,
    vector: NDArray[np.floating],
) -> Record:
    """Return the record that version 0.2 stored with this metadata; see `is_ours`."""
    own = {key: value for key, value in metadata.items() if key not in _OWN_KEYS}
    document = Document(metadata["source"], text or "", own, str(metadata.get("title") or ""))
    coverage = Coverage(*(metadata[key] for key in _COUNT_KEYS))
    return Record(document, unit_vectors(vector), metadata["content_hash"], coverage)


def is_ours(metadata: Mapping[str, Any]) -> bool:
    """Return whether version 0.2 stored a record with this metadata, and not another program."""
    return all(isinstance(metadata.get(key), str) for key in _TEXT_KEYS) and all(
        isinstance(metadata.get(key), int) for key in _COUNT_KEYS
    )


def old_ranking(directory: Path, collection: str) -> Ranking:
    """Return how a store of version 0.2 was searched.

    Raises:
        StoreError: If the file that says so cannot be read.
    """
    path = directory / f"longembed.search.{quote(collection, safe='')}.json"
    try:
        return Ranking.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Ranking()
    except (OSError, ValidationError):
        raise StoreError(
            f"cannot read {escaped(path)}. Delete it for the default ranking"
        ) from None


def _find_old(directory: Path, collection: str) -> OldStore:
    for kind in kinds().values():
        if isinstance(kind, ReadsOldStores):
            store = kind.read_old(directory, collection)
            if store is not None:
                return store
    raise StoreError(
        f"there is no collection {collection!r} of version 0.2 in {escaped(directory)} that an "
        "installed kind of store can read"
    )


def _without(
    known: Collection[str], records: Iterable[Record], settle: Callable[[Outcome], None]
) -> Iterator[Record]:
    for record in records:
        if record.document.id in known:
            settle(Outcome(record.document.id, "unchanged", len(record.document.text)))
        else:
            yield record


def _with_whitening(info: StoreInfo, old: Path, new: Path) -> StoreInfo:
    """Copy the whitening of a store, and return the description of the new store."""
    stored = with_whitening_in_folder(info.provenance, old)
    if stored.settings.whitening is None:
        return info
    file = Path(stored.settings.whitening)
    try:
        shutil.copyfile(file, new / file.name)
    except OSError as error:
        raise StoreError(
            f"cannot copy the whitening {escaped(file)}: {error.strerror}. Without it, questions "
            "have no vectors"
        ) from None
    return replace(info, provenance=with_whitening_in_folder(stored, new))
