"""How far the reading of texts is, for progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""Called with the tokens read so far, and the tokens of all that is read together."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def report_progress_to(listener: Listener) -> Iterator[None]:
    """Call a listener after every batch that a model reads inside the block, in this thread.

    One long text is many batches under a method of windows, and one under a method of one pass.

    Args:
        listener: Called after each batch; counts start at 0 with every call of the model.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report_progress(read: int, of: int) -> None:
    """Call the listener of this thread, if there is one, with tokens read and all to be read."""
    listener = _listener.get()
    if listener is not None:
        listener(read, of)
