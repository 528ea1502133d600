"""Make the vectors of a store anew with other settings, then put them in the place of the old ones.

The new store grows beside the old one, which answers queries meanwhile. A run that was cut off is
finished by running it again: what has been embedded is not embedded twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from longembed_index.embedding import BATCH_CHARACTERS, ROWS, Embed, batches, embed_each
from longembed_index.errors import StoreError
from longembed_index.opening import note_place
from longembed_index.records import COUNTS, Record, counts, is_ours
from longembed_index.repairing import repair
from longembed_index.reports import Outcome, Report, Status
from longembed_st.errors import ConfigError, LongEmbedError

if TYPE_CHECKING:
    from longembed_index.opening import Model
    from longembed_index.store import Store
    from longembed_st.base.coverage import Coverage

_PASSES = 10


@dataclass(frozen=True)
class Reindexed:
    """What a reindexing has done.

    Attributes:
        report: What became of every document; "unchanged" are those of an earlier run cut off.
        kept_as: The name of the old vectors; None if the new ones did not take their place.
        dropped: Old vectors that were deleted.
    """

    report: Report
    kept_as: str | None
    dropped: Sequence[str] = ()


def reindex(
    store: Store,
    model: Model,
    embed: Embed,
    *,
    drop_old: bool = False,
    allow_missing: bool = False,
    restart: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Reindexed:
    """Embed every document of a store with other settings, and put the result in its place.

    Documents are taken from the store itself, with their ids and metadata. Other programs may read
    it all the while. What they write before the switch is taken over; on a server, let nobody write
    at the moment of the switch.

    Args:
        store: Open for writing.
        model: With the new settings.
        embed: Gives its vectors of documents.
        drop_old: Delete the old vectors after the switch, and others kept earlier.
        allow_missing: Switch even if some documents cannot be embedded; they stay in the old ones.
        restart: Throw away what an unfinished reindexing with other settings has left.
        on_outcome: Told of every document as soon as its fate is settled.

    Returns:
        What was done. Without `allow_missing`, a document that cannot be embedded prevents the
        switch.

    Raises:
        ConfigError: If the store has these settings already, or an unfinished reindexing has
            others.
        StoreError: If the store fails, or does not hold in the end what was written to it.
    """
    began = time.perf_counter()
    if model.is_compatible(store.provenance):
        raise ConfigError("the vectors of the store have these settings already")
    run = _Run(store, _staged(store, model, embed, restart), embed, on_outcome)
    # The last pass only finds that old and new agree.
    if not any(not run.bring_up_to_date() for _ in range(_PASSES)):
        raise StoreError(
            f"after {_PASSES} passes the new vectors still differ from the old: another program "
            "keeps writing, or the disk has failed. Run again; nothing is lost"
        )
    kept_as = None
    dropped: list[str] = []
    if not run.failed or allow_missing:
        kept_as = store.switch()
        if drop_old:
            dropped = store.drop_kept()
    run.report.seconds = time.perf_counter() - began
    return Reindexed(run.report, kept_as, dropped)


def _staged(store: Store, model: Model, embed: Embed, restart: bool) -> Store:
    """The store that grows: the one that an earlier run has left, or a new one."""
    staged = store.staged()
    if staged is not None:
        if model.is_compatible(staged.provenance):
            note_place(staged, model)
            # The kill that cut it off may have cost it vectors.
            repair(staged, embed)
            return staged
        if not restart:
            found = staged.provenance.settings.differences(model.provenance.settings)
            raise ConfigError(
                f"an unfinished reindexing has other settings "
                f"({'; '.join(found or ['other weights'])}). Finish it with its own, or start over "
                "with --restart"
            )
    return store.stage(model.provenance)


class _Run:
    """Passes over the old records until the new ones are all there."""

    def __init__(
        self, old: Store, new: Store, embed: Embed, on_outcome: Callable[[Outcome], None]
    ) -> None:
        self.report = Report()
        self.failed: dict[str, str] = {}
        self._old, self._new, self._embed = old, new, embed
        self._on_outcome = on_outcome
        self._settled: set[str] = set()

    def bring_up_to_date(self) -> bool:
        """One pass; whether it found anything to do."""
        wanted = [record_id for record_id, _ in self._old.names()]
        changed = self._delete({record_id for record_id, _ in self._new.names()} - set(wanted))
        for gone in self.failed.keys() - set(wanted):
            del self.failed[gone]
        waiting: list[tuple[Record, str]] = []
        for ids in batches(wanted, ROWS):
            waiting += self._stale(ids)
            if sum(len(text) for _, text in waiting) >= BATCH_CHARACTERS:
                changed |= self._write(waiting)
                waiting = []
        return self._write(waiting) or changed

    def _stale(self, ids: Sequence[str]) -> Iterator[tuple[Record, str]]:
        """The old records that have no new one of the same content, with their texts."""
        there = {new.id: (new.text, _lasting(new.metadata)) for new in self._new.get(ids)}
        for record in self._old.get(ids):
            if there.get(record.id) == (record.text, _lasting(record.metadata)):
                self._settle(record, "unchanged")
            elif record.text is None:
                self._fail(record, "has a vector and no text")
            elif self.failed.get(record.id) != record.text:
                yield record, record.text

    def _write(self, batch: Sequence[tuple[Record, str]]) -> bool:
        made: list[tuple[Record, Coverage]] = []
        results = embed_each([text for _, text in batch], self._embed)
        for (record, _), result in zip(batch, results, strict=True):
            if isinstance(result, LongEmbedError):
                self._fail(record, str(result))
                continue
            vector, coverage = result
            data = dict(record.metadata)
            if is_ours(data):
                data |= counts(coverage)
            made.append((replace(record, vector=vector, metadata=data), coverage))
            self.failed.pop(record.id, None)
        for part in batches([record for record, _ in made], self._new.max_batch):
            self._new.write(part)
        for record, coverage in made:
            self._settle(record, "added", coverage.tokens, coverage.read)
        return bool(made)

    def _delete(self, ids: set[str]) -> bool:
        for part in batches(sorted(ids), self._new.max_batch):
            self._new.delete(part)
        return bool(ids)

    def _fail(self, record: Record, reason: str) -> None:
        self.failed[record.id] = record.text or ""
        self._settle(record, "failed", reason=reason)

    def _settle(
        self, record: Record, status: Status, tokens: int = 0, read: int = 0, reason: str = ""
    ) -> None:
        # A document that changed while we ran is counted once.
        if record.id in self._settled:
            return
        self._settled.add(record.id)
        outcome = Outcome(record.name, status, 1, tokens, read, reason)
        self.report.add(outcome)
        self._on_outcome(outcome)


def _lasting(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What other settings leave as it is."""
    ours = is_ours(metadata)
    return {key: value for key, value in metadata.items() if not (ours and key in COUNTS)}
