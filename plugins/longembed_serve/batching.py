"""Embed the texts of many requests in batches, in one thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_st.errors import LongEmbedError

if TYPE_CHECKING:
    from longembed_st.base.coverage import Coverage
    from longembed_st.base.long_model import Role

BATCH_CHARACTERS = 400_000
"""Characters embedded together: enough that short texts find others of their length."""

Read = tuple[Any, "Coverage"]
"""A vector and its coverage."""

Encode = Callable[[list[str], "Role | None"], Any]
"""From texts and their role to an `Encoded`."""


class BusyError(Exception):
    """Say that too much is waiting.

    Args:
        seconds: The time after which there may be room again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many texts are waiting; try again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class _Job:
    text: str
    role: Role | None
    future: Future[Read] = field(default_factory=Future)


class Batcher:
    """Embed texts in the order in which they come, those of several requests together.

    Args:
        encode: Embeds texts.
        max_characters: The most that may wait; a request that finds nothing waiting is always
            taken.
    """

    def __init__(self, encode: Encode, max_characters: int) -> None:
        self._encode = encode
        self._max_characters = max_characters
        self._waiting: deque[_Job] = deque()
        self._size = 0
        self._speed = 0.0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="longembed-batches", daemon=True)
        self._thread.start()

    def submit(self, texts: Sequence[str], role: Role | None) -> list[Future[Read]]:
        """Queue texts; one whose future is cancelled before its turn is not embedded.

        Args:
            texts: All texts of one request.
            role: Their role, query or document.

        Raises:
            BusyError: If too much is waiting.
        """
        jobs = [_Job(text, role) for text in texts]
        size = sum(len(text) for text in texts)
        with self._changed:
            if self._closing:
                raise BusyError(60)
            if self._waiting and self._size + size > self._max_characters:
                raise BusyError(self._seconds_left())
            self._waiting.extend(jobs)
            self._size += size
            self._changed.notify()
        return [job.future for job in jobs]

    @property
    def waiting(self) -> int:
        """Return the number of texts in the queue."""
        return len(self._waiting)

    def close(self) -> None:
        """Embed what was accepted, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _seconds_left(self) -> int:
        return max(1, round(self._size / self._speed)) if self._speed else 5

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                batch = self._next()
            begin = time.perf_counter()
            self._read(batch)
            read = sum(len(job.text) for job in batch)
            if read:
                self._speed = read / max(time.perf_counter() - begin, 1e-3)

    def _next(self) -> list[_Job]:
        """Take the first texts of one role, as many as are embedded together."""
        batch: list[_Job] = []
        size = 0
        while self._waiting:
            job = self._waiting[0]
            if batch and (job.role != batch[0].role or size + len(job.text) > BATCH_CHARACTERS):
                break
            self._waiting.popleft()
            self._size -= len(job.text)
            # False if the client has gone.
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
                size += len(job.text)
        return batch

    def _read(self, batch: list[_Job]) -> None:
        if not batch:
            return
        try:
            encoded = self._encode([job.text for job in batch], batch[0].role)
        except LongEmbedError as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            # One text that fails must not cost the others their vectors.
            for job in batch:
                self._read([job])
        except BaseException as error:
            for job in batch:
                job.future.set_exception(error)
        else:
            vectors = np.asarray(encoded.vectors, dtype=np.float32)
            for job, vector, coverage in zip(batch, vectors, encoded.coverages, strict=True):
                job.future.set_result((vector, coverage))
