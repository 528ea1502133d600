"""Queues of jobs for a few threads, in an order that is fair to small requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any


class BusyError(Exception):
    """Raised when too much is waiting.

    Args:
        seconds: The time after which there may be room again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests are waiting; try again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Job:
    """Work of a request.

    Attributes:
        task: What is to be done.
        cost: How long it takes, in any unit; at least 1.
        kind: Only jobs of one kind are worked on together.
        future: Gets the result. A job whose future is cancelled before its turn is not worked on.
    """

    task: Any
    cost: int
    kind: Hashable = None
    future: Future[Any] = field(default_factory=Future)


class Queue:
    """Jobs that wait for some threads of their own.

    The jobs of a request take turns with those of other requests: while a request of cost 1,000
    waits, others of cost 1 go first, until these have had 1,000 together.

    Args:
        work: Does jobs of one kind, and sets the results of their futures.
        threads: The number of threads.
        most_waiting: The largest cost that may wait. A request that finds nothing waiting is taken
            whatever it costs.
        most_together: The largest cost of jobs that are worked on together; 0 for one at a time.
    """

    def __init__(
        self,
        work: Callable[[list[Job]], None],
        threads: int,
        most_waiting: int,
        most_together: int = 0,
    ) -> None:
        self._work = work
        self._most_waiting, self._most_together = most_waiting, most_together
        self._heap: list[tuple[int, int, Job]] = []
        self._cost = 0
        self._numbers = count()
        # The turn of the job that was taken last.
        self._turn = 0
        self._speed = 0.0
        self._is_closed = False
        self._changed = threading.Condition()
        # Daemons: a program that ends does not wait for them.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def put(self, jobs: Sequence[Job]) -> None:
        """Let the jobs of a request wait for their turns.

        Raises:
            BusyError: If too much is waiting, or the queue is closed.
        """
        cost = sum(job.cost for job in jobs)
        with self._changed:
            if self._is_closed:
                raise BusyError(60)
            if self._cost + cost > self._most_waiting:
                self._leave_out_cancelled()
            if self._heap and self._cost + cost > self._most_waiting:
                raise BusyError(max(1, round(self._cost / self._speed)) if self._speed else 5)
            self._cost += cost
            turn = self._turn
            for job in jobs:
                turn += job.cost
                heappush(self._heap, (turn, next(self._numbers), job))
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return the number of waiting jobs, without those whose futures are cancelled."""
        with self._changed:
            self._leave_out_cancelled()
            return len(self._heap)

    @property
    def is_working(self) -> bool:
        """Return whether a thread has not ended, which all do when the queue is closed."""
        return any(thread.is_alive() for thread in self._threads)

    def close(self, seconds: float) -> None:
        """Take no more jobs, cancel those that wait, and give those at work some seconds."""
        with self._changed:
            self._is_closed = True
            for _, _, job in self._heap:
                job.future.cancel()
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _leave_out_cancelled(self) -> None:
        self._heap = [entry for entry in self._heap if not entry[2].future.cancelled()]
        heapify(self._heap)
        self._cost = sum(job.cost for _, _, job in self._heap)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heap or self._is_closed)
                if not self._heap:
                    return
                jobs = self._next()
            if jobs:
                begin = time.perf_counter()
                self._work(jobs)
                seconds = max(time.perf_counter() - begin, 1e-3)
                self._speed = sum(job.cost for job in jobs) / seconds

    def _next(self) -> list[Job]:
        """Take the first jobs of one kind, as many as are worked on together."""
        jobs: list[Job] = []
        others: list[tuple[int, int, Job]] = []
        cost = 0
        while self._heap:
            entry = turn, _, job = self._heap[0]
            if jobs and cost + job.cost > self._most_together:
                break
            heappop(self._heap)
            if jobs and job.kind != jobs[0].kind:
                others.append(entry)
                continue
            self._cost -= job.cost
            self._turn = max(self._turn, turn)
            # False if the client has gone.
            if job.future.set_running_or_notify_cancel():
                jobs.append(job)
                cost += job.cost
        for entry in others:
            heappush(self._heap, entry)
        return jobs
