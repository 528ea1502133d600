"""Make the vectors of a collection anew with other settings, for collections of other programs.

The new collection grows beside the old one, which answers queries meanwhile. A run that was cut off
is finished by running it again: what has been embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from chroma_longembed.collection import chroma_errors, provenance_of, stamp
from chroma_longembed.embedding_function import Described
from chroma_longembed.mirror import MIRROR_OF
from chroma_longembed.records import (
    ChromaRecord,
    delete_records,
    put_records,
    read_ids,
    read_records,
)
from chroma_longembed.switching import (
    WAITS_FOR,
    drop_kept,
    find_collection,
    metadata_of,
    staging_name,
    switch,
)
from longembed_index.errors import StoreError
from longembed_index.maintain.embedding import (
    BATCH_CHARACTERS,
    ROWS,
    Embed,
    Embedded,
    batches,
    embedder_of,
)
from longembed_index.maintain.reindex import Reindexed
from longembed_index.maintain.report import Outcome, Report, Status
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

    from chroma_longembed.embedding_function import LongEmbedEmbeddingFunction
    from longembed_st.loading.cache import CachedModel

_PASSES = 10


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
        allow_missing: Switch even if some documents cannot be embedded; the old collection has
            them.
        restart: Discard what an unfinished reindexing with other settings has left.
        on_outcome: Called for every document as soon as its fate is settled.

    Returns:
        What was done. Without `allow_missing`, a document that cannot be embedded prevents the
        switch.

    Raises:
        ConfigError: If there is no such collection, it has these settings already, it was not made
            by this package, or an unfinished reindexing has other settings.
        StoreError: If Chroma fails, or does not hold in the end what was written to it.
    """
    began = time.perf_counter()
    model = embedding_function.loaded
    with chroma_errors("write"):
        old = find_collection(client, name)
        if old is None:
            raise ConfigError(f"there is no collection {name!r}")
        if MIRROR_OF in metadata_of(old):
            raise ConfigError(
                f"the collection {name!r} mirrors a store: reindex that, with `longembed reindex`"
            )
        if model.is_compatible(provenance_of(old)):
            raise ConfigError(f"the vectors of the collection {name!r} have these settings already")
        new = _find_staged(client, name, model, restart) or _stage(client, old, model)
    run = _Run(old, new, embedder_of(model, units=False), on_outcome)
    # The last pass only finds that old and new agree.
    if not any(not run.bring_up_to_date() for _ in range(_PASSES)):
        raise StoreError(
            f"after {_PASSES} passes the new vectors still differ from the old: another program "
            "keeps writing, or the disk has failed. Run again; nothing is lost"
        )
    replaced = None
    dropped: list[str] = []
    if not run.failed or allow_missing:
        with chroma_errors("write"):
            replaced = switch(client, name)
            dropped = drop_kept(client, name) if drop_old else []
    run.report.seconds = time.perf_counter() - began
    return Reindexed(run.report, replaced, dropped)


def _find_staged(
    client: ClientAPI, name: str, model: CachedModel, restart: bool
) -> Collection | None:
    """Return what an earlier run has left, unless it is to be discarded."""
    staged = find_collection(client, staging_name(name))
    if staged is None:
        return None
    stored = provenance_of(staged)
    if model.is_compatible(stored):
        return staged
    if not restart:
        differing = stored.settings.differences(model.provenance.settings) or ["other weights"]
        raise ConfigError(
            f"an unfinished reindexing has other settings ({'; '.join(differing)}). Finish it with "
            "its own, or start over with restart=True"
        )
    client.delete_collection(staged.name)
    return None


def _stage(client: ClientAPI, old: Collection, model: CachedModel) -> Collection:
    """Create an empty collection that is going to replace another."""
    configuration: Any = {"hnsw": old.configuration_json.get("hnsw")}
    marks = {**stamp(model.provenance), WAITS_FOR: old.name}
    return client.create_collection(
        staging_name(old.name),
        embedding_function=Described(model.provenance),
        configuration=configuration,
        metadata={**metadata_of(old), **marks},
    )


class _Run:
    """Passes over the old records until the new ones agree with them."""

    def __init__(
        self,
        old: Collection,
        new: Collection,
        embed: Embed,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self.report = Report()
        self.failed: dict[str, str | None] = {}
        self._old, self._new, self._embed, self._on_outcome = old, new, embed, on_outcome
        self._settled: set[str] = set()

    def bring_up_to_date(self) -> bool:
        """Make one pass, and return whether there was anything to do."""
        ids = read_ids(self._old)
        left_over = sorted(set(read_ids(self._new)).difference(ids))
        for part in batches(left_over):
            delete_records(self._new, part)
        self.failed = {key: text for key, text in self.failed.items() if key in set(ids)}
        changed = bool(left_over)
        waiting: list[ChromaRecord] = []
        for part in batches(ids, ROWS):
            waiting += self._stale(part)
            if sum(len(record.text or "") for record in waiting) >= BATCH_CHARACTERS:
                changed |= self._write(waiting)
                waiting = []
        return self._write(waiting) or changed

    def _stale(self, ids: Sequence[str]) -> list[ChromaRecord]:
        """Return the old records that have no equal new one and may be embedded."""
        equal = set(map(_comparable, read_records(self._new, ids)))
        stale = []
        for record in read_records(self._old, ids):
            if _comparable(record) in equal:
                self._settle(record.id, "unchanged")
            elif record.text is None:
                self._fail(record, "has a vector and no text")
            elif self.failed.get(record.id) != record.text:
                stale.append(record)
        return stale

    def _write(self, records: list[ChromaRecord]) -> bool:
        results = self._embed([record.text or "" for record in records])
        embedded = []
        for record, result in zip(records, results, strict=True):
            if isinstance(result, Embedded):
                embedded.append((record, result))
                self.failed.pop(record.id, None)
            else:
                self._fail(record, str(result))
        for part in batches(embedded):
            put_records(self._new, [record for record, _ in part], [e.vector for _, e in part])
        for record, result in embedded:
            coverage = result.coverage
            self._settle(record.id, "added", coverage.tokens, coverage.read)
        return bool(embedded)

    def _fail(self, record: ChromaRecord, reason: str) -> None:
        self.failed[record.id] = record.text
        self._settle(record.id, "failed", reason=reason)

    def _settle(
        self, key: str, status: Status, tokens: int = 0, read: int = 0, reason: str = ""
    ) -> None:
        # A document that changes meanwhile is counted once.
        if key not in self._settled:
            self._settled.add(key)
            outcome = Outcome(key, status, 1, tokens, read, reason)
            self.report.add(outcome)
            self._on_outcome(outcome)


def _comparable(record: ChromaRecord) -> tuple[str, str | None, str]:
    return (record.id, record.text, repr(sorted(record.metadata.items())))
