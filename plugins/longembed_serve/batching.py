"""Embed the texts of many requests in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_serve.queues import BusyError, Job, Queue
from longembed_st.errors import LongEmbedError

if TYPE_CHECKING:
    from longembed_st.base.coverage import Coverage
    from longembed_st.base.long_model import Role

BATCH_CHARACTERS = 100_000
"""Characters embedded together: enough that short texts find others of their length."""

Read = tuple[Any, "Coverage"]
"""A vector and its coverage."""

Encode = Callable[[list[str], "Role | None"], Any]
"""From texts and their role to an `Encoded`."""


class Batcher:
    """Embed texts, those of several requests together.

    Texts that are longer than a batch have a thread of their own, so that no short text waits for
    one.

    Args:
        encode: Embeds texts; two threads may call it at the same time.
        max_characters: The most characters that may wait, of short texts and of long ones each. A
            request that finds nothing waiting is always taken.
    """

    def __init__(self, encode: Encode, max_characters: int) -> None:
        self._encode = encode
        self._short = Queue(self._read, 1, max_characters, BATCH_CHARACTERS)
        self._long = Queue(self._read, 1, max_characters)

    def submit(self, texts: Sequence[str], role: Role | None) -> list[Future[Read]]:
        """Queue the texts of a request; those whose futures are cancelled in time are not embedded.

        Raises:
            BusyError: If too much is waiting.
        """
        jobs = [Job(text, max(1, len(text)), role) for text in texts]
        long = [job for job in jobs if job.cost > BATCH_CHARACTERS]
        self._long.put(long)
        try:
            self._short.put([job for job in jobs if job.cost <= BATCH_CHARACTERS])
        except BusyError:
            for job in long:
                job.future.cancel()
            raise
        return [job.future for job in jobs]

    @property
    def waiting(self) -> int:
        """Return the number of texts that wait for their turns."""
        return len(self._short) + len(self._long)

    @property
    def is_working(self) -> bool:
        """Return whether a thread has not ended, which all do when the batcher is closed."""
        return self._short.is_working or self._long.is_working

    def close(self, seconds: float) -> None:
        """Cancel what waits, and give what is at work some seconds."""
        self._short.close(seconds)
        self._long.close(seconds)

    def _read(self, batch: list[Job]) -> None:
        try:
            encoded = self._encode([job.task for job in batch], batch[0].kind)  # type: ignore[arg-type]
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
