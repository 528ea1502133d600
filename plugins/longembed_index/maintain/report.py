"""What becomes of documents that are embedded and stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from longembed_st.files import write_text

Status = Literal["added", "replaced", "unchanged", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one document.

    Attributes:
        name: The document.
        status: What happened.
        size: The source's size, in bytes.
        tokens: Tokens of the document; 0 unless it was embedded now.
        read: How many of them its vector was computed from.
        reason: Why it failed; empty otherwise.
    """

    name: str
    status: Status
    size: int = 0
    tokens: int = 0
    read: int = 0
    reason: str = ""


@dataclass
class Report:
    """What became of all documents of a run.

    Attributes:
        counts: Documents by status.
        tokens: Tokens of the documents embedded in this run.
        read: How many of them were read.
        failed: Documents that were not stored, with the reason.
        partly_read: Documents that were stored but not read to their end.
        moved: Documents that were stored under another name, whose file is gone, and were not
            embedded again; they count as added.
        gone: Stored documents whose source is gone.
        pruned: Whether these were removed.
        seconds: Wall-clock time of the run.
    """

    counts: dict[Status, int] = field(
        default_factory=lambda: {"added": 0, "replaced": 0, "unchanged": 0, "failed": 0}
    )
    tokens: int = 0
    read: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    partly_read: list[Outcome] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    pruned: bool = False
    seconds: float = 0.0

    @property
    def share_read(self) -> float:
        """The share of the embedded documents' tokens that was read, from 0 to 1."""
        return self.read / self.tokens if self.tokens else 1.0

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON; documents that were read in part by name and share."""
        return {
            "documents": dict(self.counts),
            "tokens": self.tokens,
            "read": self.read,
            "seconds": round(self.seconds, 3),
            "failed": [_failure(name, reason) for name, reason in self.failed],
            "partly_read": [
                {"document": one.name, "tokens": one.tokens, "read": one.read}
                for one in self.partly_read
            ],
            "moved": self.moved,
            "gone": self.gone,
            "removed": self.gone if self.pruned else [],
        }

    def add(self, outcome: Outcome) -> None:
        """Count an outcome in."""
        self.counts[outcome.status] += 1
        self.tokens += outcome.tokens
        self.read += outcome.read
        if outcome.status == "failed":
            self.failed.append((outcome.name, outcome.reason))
        elif outcome.read < outcome.tokens:
            self.partly_read.append(outcome)


def write_failures(path: Path, failed: Sequence[tuple[str, str]]) -> None:
    """Write which documents were not stored to a file, in place of what it held, as JSON lines.

    Args:
        path: The file; empty if none has failed.
        failed: Name and reason of each.
    """
    write_text(path, "".join(f"{json.dumps(_failure(*one))}\n" for one in failed))


def _failure(name: str, reason: str) -> dict[str, str]:
    return {"document": name, "reason": reason}
