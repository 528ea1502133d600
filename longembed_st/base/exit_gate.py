"""Daemon threads that search or compute, while the interpreter ends."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from longembed_st.base.fork_gate import Gate

SECONDS = 10.0
"""How long the end of the interpreter waits for such threads."""


class ExitGate(Gate):
    """Lets the interpreter end only when no daemon thread searches or computes.

    Python ends a daemon thread when it comes back from a library. Those of C++ and Rust do not bear
    that inside a call, and abort the process. When the end has come, a daemon thread waits here for
    ever: before a search or an `encode`, and also within it, before the next pass of the model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Begin anew: other threads do not exist in a forked child."""
        self._condition = threading.Condition()
        self._users = self._own_uses
        self._is_closed = False

    @property
    def _is_open(self) -> bool:
        is_main = threading.current_thread() is threading.main_thread()
        return is_main or not self._is_closed

    @contextmanager
    def use(self) -> Iterator[None]:
        """Be in for a while; a thread that is in already stays here if the gate is closed."""
        with self._condition:
            if not self._is_open:
                self._users -= self._own_uses
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._is_open)
        with super().use():
            yield

    def close(self) -> None:
        """Let no thread begin anything, and wait until each has ended what it does."""
        with self._condition:
            self._is_closed = True
            self._condition.wait_for(self._has_no_others, SECONDS)


exit_gate = ExitGate()
atexit.register(exit_gate.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=exit_gate.reset)
