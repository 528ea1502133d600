"""Make the vectors of a collection anew with other settings, then give the new ones its name.

The new collection grows beside the old one, which answers queries meanwhile. A run that was cut off
is finished by running it again: what has been embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chroma_longembed import settings
from chroma_longembed.collection import stamp, stored_settings
from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
from chroma_longembed.errors import StoreError
from chroma_longembed.ingestion import Outcome, Report
from chroma_longembed.records import BATCH_CHARACTERS, COUNTS, Embedded, Record, batches, embed_each
from chroma_longembed.switching import (
    WAITS_FOR,
    kept_collections,
    staging_name,
    switch,
)
from longembed_st.errors import ConfigError, InputError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

_ROWS = 16
"""Documents held in memory at once; each may have megabytes."""

_PASSES = 10


@dataclass(frozen=True)
class Reindexed:
    """What a reindexing has done.

    Attributes:
        report: What became of every document; "unchanged" are those of an earlier run cut off.
        kept_as: The name of the old collection; None if the name was not switched.
        dropped: Old collections that were deleted.
    """

    report: Report
    kept_as: str | None
    dropped: Sequence[str] = ()


def reindex(
    client: ClientAPI,
    name: str,
    embedding_function: LongEmbedEmbeddingFunction,
    *,
    drop_old: bool = False,
    allow_missing: bool = False,
    restart: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Reindexed:
    """Embed every document of a collection with other settings, and switch the name to the result.

    Documents are taken from the collection itself, with their ids and metadata. Other programs may
    read it all the while. What they write before the switch is taken over; on a server, let nobody
    write at the moment of the switch.

    Args:
        client: Any Chroma client: persistent, in memory or over HTTP.
        name: The collection; made by this package.
        embedding_function: The new settings.
        drop_old: Delete the old collection after the switch, and others kept earlier.
        allow_missing: Switch even if some documents cannot be embedded; they stay in the old one.
        restart: Throw away what an unfinished reindexing with other settings has left.
        on_outcome: Told of every document as soon as its fate is settled.

    Returns:
        What was done. Without `allow_missing`, a document that cannot be embedded prevents the
        switch.

    Raises:
        ConfigError: If there is no such collection, it has these settings already, it was not made
            by this package, or an unfinished reindexing has other settings.
        StoreError: If the new collection does not hold in the end what was written to it.
    """
    began = time.perf_counter()
    stored = stored_settings(client, name)
    if stored is None:
        raise ConfigError(f"there is no collection {name!r}")
    if stored.get("fingerprint") == embedding_function.fingerprint:
        raise ConfigError(f"the vectors of the collection {name!r} have these settings already")
    old = client.get_collection(name, embedding_function=None)
    new = _staging(client, old, embedding_function, restart)
    run = _Run(old, new, embedding_function, client.get_max_batch_size(), on_outcome)
    # The last pass only finds that old and new agree.
    if not any(not run.bring_up_to_date() for _ in range(_PASSES)):
        raise StoreError(
            f"after {_PASSES} passes the new collection still differs from the old: another "
            "program keeps writing, or the disk has failed. Run again; nothing is lost"
        )
    report = run.report
    kept_as = None
    dropped: list[str] = []
    if not run.failed or allow_missing:
        kept_as = switch(client, name)
        if drop_old:
            dropped = drop_kept(client, name)
    report.seconds = time.perf_counter() - began
    return Reindexed(report, kept_as, dropped)


def drop_kept(client: ClientAPI, name: str) -> list[str]:
    """Delete the collections that reindexing has replaced.

    Args:
        client: Any Chroma client.
        name: The name that they had.

    Returns:
        Which were deleted.
    """
    kept = kept_collections(client, name)
    for old in kept:
        client.delete_collection(old)
    return kept


def _staging(
    client: ClientAPI, old: Collection, function: LongEmbedEmbeddingFunction, restart: bool
) -> Collection:
    name = staging_name(old.name)
    stored = stored_settings(client, name)
    if stored is not None:
        if stored.get("fingerprint") == function.fingerprint:
            return client.get_collection(name, embedding_function=None)
        if not restart:
            found = settings.differences(stored, function.get_config()) or ["other weights"]
            raise ConfigError(
                f"an unfinished reindexing of {old.name!r} has other settings "
                f"({'; '.join(found)}). Finish it with its own, or start over with --restart"
            )
        client.delete_collection(name)
    configuration: Any = {"hnsw": old.configuration_json.get("hnsw")}
    return client.create_collection(
        name,
        embedding_function=function,  # type: ignore[arg-type]
        configuration=configuration,
        metadata={**(old.metadata or {}), **stamp(function), WAITS_FOR: old.name},
    )


class _Run:
    """Passes over the old collection until the new one has all of it."""

    def __init__(
        self,
        old: Collection,
        new: Collection,
        function: LongEmbedEmbeddingFunction,
        max_batch: int,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self.report = Report()
        self.failed: dict[str, str] = {}
        self._old, self._new, self._embed = old, new, function
        self._max_batch = max_batch
        self._on_outcome = on_outcome
        self._settled: set[str] = set()

    def bring_up_to_date(self) -> bool:
        """One pass; whether it found anything to do."""
        wanted = self._old.get(include=[])["ids"]
        changed = self._delete(set(self._new.get(include=[])["ids"]) - set(wanted))
        for gone in self.failed.keys() - set(wanted):
            del self.failed[gone]
        waiting: list[tuple[str, str, dict[str, Any]]] = []
        for start in range(0, len(wanted), _ROWS):
            waiting += self._stale(wanted[start : start + _ROWS])
            if sum(len(text) for _, text, _ in waiting) >= BATCH_CHARACTERS:
                changed |= self._write(waiting)
                waiting = []
        return self._write(waiting) or changed

    def _stale(self, ids: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        there = {key: (text, _lasting(data)) for key, text, data in _rows(self._new, ids)}
        for key, text, data in _rows(self._old, ids):
            if there.get(key) == (text, _lasting(data)):
                self._settle(key, data, "unchanged")
            elif text is None:
                self._fail(key, data, InputError("has a vector and no text"))
            elif self.failed.get(key) != text:
                yield key, text, data

    def _write(self, batch: Sequence[tuple[str, str, dict[str, Any]]]) -> bool:
        records = []
        for (key, text, data), result in zip(
            batch, embed_each([text for _, text, _ in batch], self._embed), strict=True
        ):
            if isinstance(result, Embedded):
                metadata = data | result.counts if _is_ours(data) else data
                records.append((Record(key, text, result.vector, metadata), result.coverage))
                self.failed.pop(key, None)
            else:
                self._fail(key, data, result, text)
        for part in batches([record for record, _ in records], self._max_batch):
            self._new.upsert(
                ids=[record.id for record in part],
                documents=[record.text for record in part],
                embeddings=[record.vector for record in part],
                metadatas=[dict(record.metadata) or None for record in part],  # type: ignore[misc]
            )
        for record, coverage in records:
            self._settle(record.id, record.metadata, "added", coverage.tokens, coverage.read)
        return bool(records)

    def _delete(self, ids: set[str]) -> bool:
        for part in batches(sorted(ids), self._max_batch):
            self._new.delete(ids=list(part))
        return bool(ids)

    def _fail(self, key: str, data: Any, error: Exception, text: str = "") -> None:
        self.failed[key] = text
        self._settle(key, data, "failed", reason=str(error))

    def _settle(
        self, key: str, data: Any, status: Any, tokens: int = 0, read: int = 0, reason: str = ""
    ) -> None:
        # A document that changed while we ran is counted once.
        if key in self._settled:
            return
        self._settled.add(key)
        outcome = Outcome(str(data.get("source", key)), status, 1, tokens, read, reason)
        self.report.add(outcome)
        self._on_outcome(outcome)


def _rows(collection: Collection, ids: list[str]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    found: Any = collection.get(ids=ids, include=["documents", "metadatas"])
    for key, text, data in zip(found["ids"], found["documents"], found["metadatas"], strict=True):
        yield key, text, dict(data or {})


def _lasting(metadata: dict[str, Any]) -> dict[str, Any]:
    """What other settings leave as it is."""
    if not _is_ours(metadata):
        return metadata
    return {key: value for key, value in metadata.items() if key not in COUNTS}


def _is_ours(metadata: dict[str, Any]) -> bool:
    """Whether our ingestion wrote it, and not a program with a meaning of its own for "tokens"."""
    return {"content_hash", *COUNTS} <= metadata.keys()
