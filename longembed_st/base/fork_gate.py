"""Forks: only while no connection to a store is open and no model computes; locks in the child."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """Has connections that it opens again when they are needed."""

    def close_idle(self) -> None:
        """Close the connections that no thread uses."""


class ForkSafeLock:
    """A lock that no thread holds in a forked child, even if one of the parent held it."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    def __enter__(self) -> None:
        self._locks.setdefault(os.getpid(), threading.RLock()).acquire()

    def __exit__(self, *error: object) -> None:
        self._locks[os.getpid()].release()


class Gate(ABC):
    """Counts the uses of something by threads, and keeps new threads out while it is closed.

    A thread that is in comes in again also while the gate is closed: whoever has closed it waits
    for this thread, which must not wait for them.
    """

    _condition: threading.Condition
    _users: int

    def __init__(self) -> None:
        self._thread = threading.local()

    @property
    @abstractmethod
    def _is_open(self) -> bool:
        """Return whether this thread may come in."""

    @property
    def _own_uses(self) -> int:
        """Return how many of the uses are this thread's."""
        return getattr(self._thread, "uses", 0)

    def _has_no_others(self) -> bool:
        return self._users == self._own_uses

    @contextmanager
    def use(self) -> Iterator[None]:
        """Be in for a while, as soon as the gate is open."""
        with self._condition:
            self._condition.wait_for(lambda: self._own_uses or self._is_open)
            self._users += 1
            self._thread.uses = self._own_uses + 1
        try:
            yield
        finally:
            with self._condition:
                self._users -= 1
                self._thread.uses -= 1
                self._condition.notify_all()


class ForkGate(Gate):
    """Keeps forks and the use of connections apart.

    SQLite counts the locks of a process in its memory, and a child inherits the counts without the
    locks: a connection that it opens to the same file then reads without any lock, and breaks when
    the parent closes its own. So no connection may be open while a process forks. LanceDB's
    connections have threads, which a child does not have either.
    """

    def __init__(self) -> None:
        super().__init__()
        self._reset()

    def _reset(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._users = self._own_uses
        self._forks = 0
        self._pools: WeakSet[Closable] = WeakSet()

    @property
    def _is_open(self) -> bool:
        return not self._forks

    def add(self, pool: Closable) -> None:
        """Close the connections of a pool before each fork."""
        with self._condition:
            self._pools.add(pool)

    def before_fork(self) -> None:
        """Wait until no other thread uses a connection, close all, and let nobody in."""
        self._condition.acquire()
        self._forks += 1
        self._condition.wait_for(self._has_no_others)
        for pool in self._pools:
            pool.close_idle()

    def after_fork_in_parent(self) -> None:
        """Let threads in again."""
        self._forks -= 1
        self._condition.notify_all()
        self._condition.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: the threads that waited are not in the child."""
        pools = list(self._pools)
        self._reset()
        for pool in pools:
            self._pools.add(pool)


fork_gate = ForkGate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=fork_gate.before_fork,
        after_in_parent=fork_gate.after_fork_in_parent,
        after_in_child=fork_gate.after_fork_in_child,
    )
