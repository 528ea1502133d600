"""Vectors that a store has lost are written anew: from its copy of them, or from the texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from longembed_index.embedding import BATCH_CHARACTERS, ROWS, Embed, batches, embed_each
from longembed_index.errors import LostVectorsError
from longembed_index.records import Record, counts, is_ours
from longembed_index.reports import Outcome, Report

if TYPE_CHECKING:
    from longembed_index.store import Store


def refuse_lost(store: Store) -> None:
    """Raise `LostVectorsError`, naming the repair, if a store has records that no search can find.

    Args:
        store: The store.
    """
    lost = store.lost()
    if lost:
        raise LostVectorsError(
            f"the vectors of {len(lost):,} of the {len(store):,} documents in the store are lost, "
            f"through a kill while it was written or a damaged file; their texts are there"
        )


def repair(
    store: Store,
    embed: Embed,
    *,
    remove_lost: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Let searches find every record of a store again.

    A run that was cut off is finished by running it again.

    Args:
        store: Open for writing.
        embed: Gives the vectors of which the store has no copy.
        remove_lost: Remove records that cannot be embedded: a bare vector of another program
            cannot be had back.
        on_outcome: Told of every record as soon as its fate is settled.

    Returns:
        What became of every record that had lost its vector: "unchanged" are those of which there
        was a copy, "added" those that were embedded.

    Raises:
        StoreError: If the store fails.
    """
    began = time.perf_counter()
    run = _Run(store, embed, on_outcome)
    waiting: list[Record] = []
    for ids in batches(store.lost(), ROWS):
        records = store.get(ids)
        run.restore([record for record in records if record.vector is not None])
        waiting += [record for record in records if record.vector is None]
        if sum(len(record.text or "") for record in waiting) >= BATCH_CHARACTERS:
            run.embed(waiting)
            waiting = []
    run.embed(waiting)
    if remove_lost:
        run.remove_failed()
    run.report.seconds = time.perf_counter() - began
    return run.report


class _Run:
    def __init__(self, store: Store, embed: Embed, on_outcome: Callable[[Outcome], None]) -> None:
        self.report = Report()
        self._store, self._embed, self._on_outcome = store, embed, on_outcome
        self._failed: list[str] = []

    def restore(self, records: Sequence[Record]) -> None:
        """Write records whose vectors there are."""
        self._write(records)
        for record in records:
            self._settle(Outcome(record.name, "unchanged", 1))

    def embed(self, records: Sequence[Record]) -> None:
        """Embed and write the others."""
        texts = {record.id: record.text for record in records if record.text is not None}
        results = dict(zip(texts, embed_each(list(texts.values()), self._embed), strict=True))
        made: list[Record] = []
        outcomes: list[Outcome] = []
        for record in records:
            result = results.get(record.id)
            if isinstance(result, tuple):
                vector, coverage = result
                data = dict(record.metadata)
                if is_ours(data):
                    data |= counts(coverage)
                made.append(replace(record, vector=vector, metadata=data))
                outcomes.append(Outcome(record.name, "added", 1, coverage.tokens, coverage.read))
            else:
                self._failed.append(record.id)
                reason = "has no text to embed" if result is None else str(result)
                outcomes.append(Outcome(record.name, "failed", 1, reason=reason))
        self._write(made)
        for outcome in outcomes:
            self._settle(outcome)

    def remove_failed(self) -> None:
        """Remove what can be neither found nor embedded."""
        for part in batches(self._failed, self._store.max_batch):
            self._store.delete(part)
        self.report.gone = [name for name, _ in self.report.failed]
        self.report.pruned = True

    def _write(self, records: Sequence[Record]) -> None:
        for part in batches(records, self._store.max_batch):
            self._store.write(part)

    def _settle(self, outcome: Outcome) -> None:
        self.report.add(outcome)
        self._on_outcome(outcome)
