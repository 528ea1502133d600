"""Reading documents, in a thread while those before them are embedded and written."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple

from longembed_index.documents.sources import content_of, readable_of

if TYPE_CHECKING:
    from longembed_index.documents.parsed import Parsed
    from longembed_index.documents.sources import Source

AHEAD_BYTES, AHEAD_DOCUMENTS = 4_000_000, 500
"""So much is read ahead at most, but always one document."""


class Reading(NamedTuple):
    """What was read of a document.

    Attributes:
        content_hash: SHA-256 of its bytes, in hex.
        parsed: Its text; None if a document of this content is known.
    """

    content_hash: str
    parsed: Parsed | None


Readings = Generator[tuple["Source", Reading | Exception], None, None]
"""Documents in their order, each with what was read of it, or the error of reading."""


class SourceReader:
    """Reads documents, but not the text of those whose content is known."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = set(known)

    def readings(self, sources: Iterable[Source]) -> Readings:
        """Yield documents in their order, each with what was read of it, or the error of reading.

        A sequence is read ahead. Documents that are made one by one are not asked for before those
        before them are taken.
        """
        if isinstance(sources, Sequence):
            yield from self._read_ahead(sources)
            return
        for source in sources:
            yield source, self._reading(source)

    def read(self, source: Source) -> tuple[str, Parsed]:
        """Return the hash of a document's content, and its text.

        Raises:
            InputError: If it has no text.
        """
        content = content_of(source)
        return _hash(content), readable_of(source, content)

    def _read_ahead(self, sources: Sequence[Source]) -> Readings:
        requests: SimpleQueue[Source | None] = SimpleQueue()
        readings: SimpleQueue[Reading | Exception] = SimpleQueue()
        is_over = Event()

        def serve() -> None:
            while (source := requests.get()) is not None and not is_over.is_set():
                readings.put(self._reading(source))

        # A daemon, so that the program ends although a file takes minutes to parse.
        Thread(target=serve, name="longembed-reader", daemon=True).start()
        waiting: deque[Source] = deque()
        size = 0
        try:
            for source in sources:
                requests.put(source)
                waiting.append(source)
                size += source.size
                while len(waiting) > 1 and (size > AHEAD_BYTES or len(waiting) > AHEAD_DOCUMENTS):
                    size -= waiting[0].size
                    yield waiting.popleft(), readings.get()
            while waiting:
                yield waiting.popleft(), readings.get()
        finally:
            is_over.set()
            requests.put(None)

    def _reading(self, source: Source) -> Reading | Exception:
        try:
            content = content_of(source)
            content_hash = _hash(content)
            if content_hash in self._known:
                return Reading(content_hash, None)
            self._known.add(content_hash)
            return Reading(content_hash, readable_of(source, content))
        except Exception as error:
            return error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
