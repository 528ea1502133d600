"""Documents that fail in every way."""

from __future__ import annotations


class Unwell:
    """A document whose reader raises what it was given."""

    id = title = "unwell"
    metadata: dict[str, object] = {}  # noqa: RUF012
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
