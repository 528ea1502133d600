"""Documents and stores that fail in every way."""

from __future__ import annotations

from dataclasses import replace

from longembed_index.memory import MemoryStore
from longembed_index.records import Record


class Unwell:
    """A document whose reader raises what it is told."""

    name = title = "unwell"
    size = 1

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def content(self) -> bytes:
        return b"content"

    def read(self, content: bytes) -> str:
        raise self.error


ANYTHING = [
    *(kind("why") for kind in (ValueError, OSError, LookupError, RecursionError, AssertionError)),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "why"),
    MemoryError(),
    StopIteration(),
    SystemExit(0),
    GeneratorExit(),
    Exception("two\nlines"),
    BaseException("why"),
    type("Panic", (BaseException,), {})("why"),
]


class LossyStore(MemoryStore):
    """Loses the vectors of some texts; may have a copy of them."""

    def __init__(self, provenance, max_batch: int = 100, *, has_copies: bool = False) -> None:
        super().__init__(provenance, max_batch)
        self.has_copies = has_copies
        self.gone: set[str] = set()

    def lose(self, *texts: str | None) -> None:
        self.gone |= {record.id for record in self.records.values() if record.text in texts}

    def lost(self) -> list[str]:
        return sorted(self.gone)

    def get(self, ids) -> list[Record]:
        hidden = set() if self.has_copies else self.gone
        return [replace(r, vector=None) if r.id in hidden else r for r in super().get(ids)]

    def write(self, records) -> None:
        assert all(record.vector is not None for record in records)
        super().write(records)
        self.gone -= {record.id for record in records}

    def delete(self, ids) -> None:
        super().delete(ids)
        self.gone -= set(ids)

    def search(self, vector, k):
        return [match for match in super().search(vector, 1000) if match.id not in self.gone][:k]
