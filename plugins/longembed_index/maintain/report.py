"""What becomes of documents that are embedded and stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longembed_index.document import plain_left_out
from longembed_st.base.coverage import Coverage
from longembed_st.files import write_text

if TYPE_CHECKING:
    from longembed_index.document import Entry, Record
    from longembed_index.documents.parsed import LeftOut

Status = Literal["added", "replaced", "unchanged", "failed"]

OnStep = Callable[[str, int, int], None]
"""Called with the name of a step of a long run, how much of it is done, and how much there is, or 0
if that is not known."""


@dataclass(frozen=True)
class Outcome:
    """What became of one document.

    Attributes:
        id: The document.
        status: What happened.
        size: The size of what it was read from, in bytes.
        tokens: Tokens of the document; 0 if they are not known.
        tokens_read: The number of tokens that its vector was computed from.
        reason: Why it failed; empty otherwise.
        tokens_unknown: The number of tokens, of those read, that the model does not know.
        left_out: The parts of its file that were not read.
        is_embedded: Whether these tokens were embedded now; a copy of a stored document is not.
    """

    id: str
    status: Status
    size: int = 0
    tokens: int = 0
    tokens_read: int = 0
    reason: str = ""
    tokens_unknown: int = 0
    left_out: tuple[LeftOut, ...] = ()
    is_embedded: bool = True

    @property
    def coverage(self) -> Coverage:
        """Return how much of the text the vector was computed from; the passes are not known."""
        return Coverage(self.tokens, self.tokens_read, 0, unknown=self.tokens_unknown)


def outcome_of(
    document: Entry | Record, status: Status, size: int, *, is_embedded: bool = True
) -> Outcome:
    """Return the outcome of a document that is in the store, with how much of it was read."""
    return Outcome(
        document.id,
        status,
        size,
        document.coverage.tokens,
        document.coverage.read,
        tokens_unknown=document.coverage.unknown,
        left_out=document.left_out,
        is_embedded=is_embedded,
    )


def unchanged(document_id: str, size: int, entry: Entry | None) -> Outcome:
    """Return the outcome of a document that the store has; without an entry, it was read whole."""
    if entry is None:
        return Outcome(document_id, "unchanged", size, is_embedded=False)
    return outcome_of(entry, "unchanged", size, is_embedded=False)


OnOutcome = Callable[[Outcome], None]
"""Called for a document as soon as its fate is settled."""


@dataclass
class Report:
    """What became of all documents of a run.

    Attributes:
        counts: Documents by status.
        tokens: Tokens of the documents embedded in this run.
        tokens_read: How many of them were read.
        failed: Ids of documents that were not stored, with the reason.
        partly_read: Documents that are stored but were not read to their end.
        unknown: Documents that are stored, with many tokens that the model does not know.
        left_out: Documents that are stored, of whose files parts were not read.
        skipped: Files that no reader knows.
        links: Links that lead out of the places of the run, and were not followed.
        moved: Documents that were stored under another id, whose file is gone, and were not
            embedded again; they count as added.
        gone: Stored documents whose file is gone from the places of the run.
        removed: Those of them that were removed.
        kept_because: Why documents that are gone were kept although they were to be removed; empty
            if none were.
        missing_elsewhere: Stored documents from other places, whose file is gone.
        in_store: The number of documents in the store after the run.
        seconds: Wall-clock time of the run.
    """

    counts: dict[Status, int] = field(
        default_factory=lambda: {"added": 0, "replaced": 0, "unchanged": 0, "failed": 0}
    )
    tokens: int = 0
    tokens_read: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    partly_read: list[Outcome] = field(default_factory=list)
    unknown: list[Outcome] = field(default_factory=list)
    left_out: list[Outcome] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept_because: str = ""
    missing_elsewhere: list[str] = field(default_factory=list)
    in_store: int = 0
    seconds: float = 0.0

    @property
    def share_read(self) -> float:
        """Return the share of the embedded documents' tokens that was read, from 0 to 1."""
        return self.tokens_read / self.tokens if self.tokens else 1.0

    @property
    def is_complete(self) -> bool:
        """Return whether every document of the run is stored, and all of its text was read."""
        return not (self.failed or self.partly_read or self.unknown or self.left_out)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON."""
        return {
            "documents": dict(self.counts),
            "tokens": self.tokens,
            "read": self.tokens_read,
            "seconds": round(self.seconds, 3),
            "failed": [_failure(*failure) for failure in self.failed],
            "partly_read": [
                {"document": outcome.id, "tokens": outcome.tokens, "read": outcome.tokens_read}
                for outcome in self.partly_read
            ],
            "unknown": [
                {
                    "document": outcome.id,
                    "read": outcome.tokens_read,
                    "unknown": outcome.tokens_unknown,
                }
                for outcome in self.unknown
            ],
            "left_out": [
                {"document": outcome.id, **part}
                for outcome in self.left_out
                for part in plain_left_out(outcome.left_out)
            ],
            "skipped": self.skipped,
            "links": self.links,
            "moved": self.moved,
            "gone": self.gone,
            "removed": self.removed,
            "kept_because": self.kept_because,
            "missing_elsewhere": self.missing_elsewhere,
            "in_store": self.in_store,
        }

    def add(self, outcome: Outcome) -> None:
        """Count an outcome in."""
        self.counts[outcome.status] += 1
        if outcome.status == "failed":
            self.failed.append((outcome.id, outcome.reason))
            return
        if outcome.is_embedded:
            self.tokens += outcome.tokens
            self.tokens_read += outcome.tokens_read
        if outcome.tokens_read < outcome.tokens:
            self.partly_read.append(outcome)
        if outcome.coverage.is_unknown:
            self.unknown.append(outcome)
        if outcome.left_out:
            self.left_out.append(outcome)

    def add_failed(self, failed: Iterable[tuple[str, str]]) -> None:
        """Count documents in that could not even be looked at."""
        for document_id, reason in failed:
            self.add(Outcome(document_id, "failed", reason=reason))


def write_failures(path: Path, failed: Sequence[tuple[str, str]]) -> None:
    """Write which documents were not stored to a file, in place of what it held, as JSON lines."""
    write_text(path, "".join(f"{json.dumps(_failure(*failure))}\n" for failure in failed))


def _failure(document_id: str, reason: str) -> dict[str, str]:
    return {"document": document_id, "reason": reason}


class StepCounter:
    """Counts the calls of a step, and reports each."""

    def __init__(self, on_step: OnStep, step: str, total: int = 0) -> None:
        self._on_step, self._step, self._total = on_step, step, total
        self._done = 0

    def __call__(self, amount: int = 1) -> None:
        """Report that so much more is done."""
        self._done += amount
        self._on_step(self._step, self._done, self._total)


def with_steps(
    on_outcome: Callable[[Outcome], None], on_step: OnStep, total: int
) -> Callable[[Outcome], None]:
    """Return what calls both for every outcome."""
    count = StepCounter(on_step, "documents", total)

    def call_both(outcome: Outcome) -> None:
        on_outcome(outcome)
        count(outcome.size)

    return call_both
