"""Make the vectors of a store anew with other settings, then put them in the place of the old ones.

The new store grows beside the old one, which answers queries meanwhile. A run that was cut off is
finished by running it again: what has been embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from longembed_index.document import Entry, Record
from longembed_index.errors import StoreError
from longembed_index.maintain.embedding import (
    BATCH_CHARACTERS,
    RECORDS_AT_ONCE,
    Embed,
    Embedded,
    batches,
    embed_distinct,
)
from longembed_index.maintain.report import Outcome, Report, outcome_of
from longembed_index.store.protocol import StoreInfo
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.store.protocol import Store
    from longembed_st.loading.cache import CachedModel

_PASSES = 10


@dataclass(frozen=True)
class Reindexed:
    """What a reindexing has done.

    Attributes:
        report: What became of every document; "unchanged" are those of an earlier run cut off.
        replaced: The name under which the old vectors are kept; None if the new ones did not take
            their place.
        dropped: Names of old vectors that were deleted.
    """

    report: Report
    replaced: str | None
    dropped: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what was done as plain data for JSON."""
        done = {"replaced": self.replaced, "dropped": list(self.dropped)}
        return {**self.report.to_dict(), **done}


def reindex(
    store: Store,
    model: CachedModel,
    embed: Embed,
    *,
    units: bool = False,
    drop_old: bool = False,
    allow_missing: bool = False,
    restart: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Reindexed:
    """Embed every document of a store with other settings, and put the result in its place.

    The texts are taken from the store itself. Other programs may read it all the while, and what
    they write before the switch is taken over.

    Args:
        store: Open for writing.
        model: With the new settings.
        embed: Makes its vectors of documents.
        units: Whether the documents are to have units; `embed` must make them.
        drop_old: Delete the old vectors after the switch, and others kept earlier.
        allow_missing: Switch even if some documents cannot be embedded; only the old vectors have
            them.
        restart: Discard what an unfinished reindexing with other settings has left.
        on_outcome: Called for every document as soon as its fate is settled.

    Returns:
        What was done. Without `allow_missing`, a document that cannot be embedded prevents the
        switch.

    Raises:
        ConfigError: If the store has these settings already, or an unfinished reindexing has
            others.
        StoreError: If the store fails, or does not hold in the end what was written to it.
    """
    began = time.perf_counter()
    if model.is_compatible(store.info.provenance) and store.info.units == units:
        raise ConfigError("the vectors of the store have these settings already")
    run = _Run(store, _staged(store, model, units, restart), embed, on_outcome)
    # The last pass only finds that old and new agree.
    if not any(not run.bring_up_to_date() for _ in range(_PASSES)):
        raise StoreError(
            f"after {_PASSES} passes the new vectors still differ from the old: another program "
            "keeps writing, or the disk has failed. Run again; nothing is lost"
        )
    replaced = None
    dropped: list[str] = []
    if not run.failed or allow_missing:
        replaced = store.switch()
        if drop_old:
            dropped = store.drop_replaced()
    run.report.in_store = len(store)
    run.report.seconds = time.perf_counter() - began
    return Reindexed(run.report, replaced, dropped)


def _staged(store: Store, model: CachedModel, units: bool, restart: bool) -> Store:
    """Return the store that grows: the one that an earlier run has left, or a new one."""
    info = replace(store.info, provenance=model.provenance.portable(), units=units)
    staged = store.staged()
    if staged is None:
        return store.stage(info)
    if model.is_compatible(staged.info.provenance) and staged.info.units == units:
        # The model may have been moved meanwhile.
        if staged.info != info:
            staged.update_info(info)
        return staged
    if not restart:
        raise ConfigError(
            f"an unfinished reindexing has other settings ({_differences(staged.info, info)}). "
            "Finish it with its own, or start over with --restart (restart=True)"
        )
    return store.stage(info)


def _differences(staged: StoreInfo, info: StoreInfo) -> str:
    differences = staged.provenance.settings.differences(info.provenance.settings)
    if staged.units != info.units:
        differences.append(f"units is {staged.units} in the store, {info.units} now")
    return "; ".join(differences or ["other weights"])


class _Run:
    """Passes over the old documents until the new vectors are all there."""

    def __init__(
        self, old: Store, new: Store, embed: Embed, on_outcome: Callable[[Outcome], None]
    ) -> None:
        self.report = Report()
        self.failed: dict[str, str] = {}
        """Revisions by id."""
        self._old, self._new, self._embed = old, new, embed
        self._on_outcome = on_outcome
        self._settled: set[str] = set()

    def bring_up_to_date(self) -> bool:
        """Make one pass, and return whether there was anything to do."""
        entries = {entry.id: entry for entry in self._old.entries()}
        embedded = {entry.id: entry.revision for entry in self._new.entries()}
        left_over = embedded.keys() - entries.keys()
        if left_over:
            self._new.write([], delete=left_over)
        self.failed = {i: h for i, h in self.failed.items() if i in entries}
        stale = []
        for entry in entries.values():
            if embedded.get(entry.id) == entry.revision:
                self._settle(Outcome(entry.id, "unchanged", entry.characters))
            elif self.failed.get(entry.id) != entry.revision:
                stale.append(entry)
        return self._embed_all(stale) or bool(left_over)

    def _embed_all(self, entries: Sequence[Entry]) -> bool:
        is_changed = False
        waiting: list[Record] = []
        for part in batches(entries, RECORDS_AT_ONCE):
            waiting += self._old.get([entry.id for entry in part])
            if sum(len(record.document.text) for record in waiting) >= BATCH_CHARACTERS:
                is_changed |= self._write(waiting)
                waiting = []
        return self._write(waiting) or is_changed

    def _write(self, records: Sequence[Record]) -> bool:
        results = embed_distinct(self._embed, [record.document.text for record in records])
        embedded: list[Record] = []
        for record in records:
            document_id, characters = record.document.id, len(record.document.text)
            result = results[record.document.text]
            if isinstance(result, Embedded):
                embedded.append(
                    result.record_of(record.document, record.content_hash, record.left_out)
                )
                self.failed.pop(document_id, None)
            else:
                self.failed[document_id] = record.revision
                self._settle(Outcome(document_id, "failed", characters, reason=str(result)))
        if embedded:
            self._new.write(embedded)
        for record in embedded:
            self._settle(outcome_of(record, "added", len(record.document.text)))
        return bool(embedded)

    def _settle(self, outcome: Outcome) -> None:
        # A document that changed meanwhile is counted once.
        if outcome.id not in self._settled:
            self._settled.add(outcome.id)
            self.report.add(outcome)
            self._on_outcome(outcome)
