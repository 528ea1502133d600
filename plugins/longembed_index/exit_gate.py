"""Searches in daemon threads, while the interpreter ends."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 10.0
"""How long the end of the interpreter waits for searches."""


class ExitGate:
    """Lets the interpreter end only when no search runs.

    Python ends a daemon thread when it comes back from a library. Those of C++ and Rust do not bear
    that inside a call, and abort the process.
    """

    def __init__(self) -> None:
        self._thread = threading.local()
        self.reset()

    def reset(self) -> None:
        """Begin anew: other threads do not exist in a forked child."""
        self._condition = threading.Condition()
        self._users = self._own_uses
        self._is_closed = False

    @property
    def _own_uses(self) -> int:
        return getattr(self._thread, "uses", 0)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Hold off the end for a while; when it has come, a daemon thread waits here for ever."""
        is_main = threading.current_thread() is threading.main_thread()
        with self._condition:
            self._condition.wait_for(lambda: is_main or self._own_uses or not self._is_closed)
            self._users += 1
            self._thread.uses = self._own_uses + 1
        try:
            yield
        finally:
            with self._condition:
                self._users -= 1
                self._thread.uses -= 1
                self._condition.notify_all()

    def close(self) -> None:
        """Let no further search begin, and wait for those that run."""
        with self._condition:
            self._is_closed = True
            self._condition.wait_for(lambda: self._users == self._own_uses, SECONDS)


exit_gate = ExitGate()
atexit.register(exit_gate.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=exit_gate.reset)
