"""The order in which jobs are worked on."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, wait

import pytest

from longembed_serve.queues import BusyError, Job, Queue


class Work:
    """Notes the jobs that it does, and waits for permission."""

    def __init__(self) -> None:
        self.done: list[list[str]] = []
        self.begun, self.may = threading.Event(), threading.Event()

    def __call__(self, jobs: list[Job]) -> None:
        self.begun.set()
        assert self.may.wait(60)
        self.done.append([job.task for job in jobs])
        for job in jobs:
            job.future.set_result(job.task)


@pytest.fixture
def work():
    work = Work()
    yield work
    work.may.set()


def busy(work: Work, **settings: int) -> Queue:
    """A queue whose only thread is at work."""
    queue = Queue(work, 1, settings.pop("most_waiting", 1000), **settings)
    queue.put([Job("first", 1)])
    assert work.begun.wait(60)
    return queue


def finish(work: Work, *requests: list[Job]) -> list[list[str]]:
    """Let all be done, and return what was done after the first job."""
    work.may.set()
    wait([job.future for jobs in requests for job in jobs], timeout=60)
    return work.done[1:]


def test_small_requests_go_first_but_not_for_ever(work) -> None:
    queue = busy(work)
    large = [Job("large", 50)]
    small = [[Job(f"small {number}", 20)] for number in range(2)]
    for request in (large, *small):
        queue.put(request)
    assert finish(work, large, *small) == [["small 0"], ["small 1"], ["large"]]
    # Requests that come after others were served stand behind those that waited meanwhile.
    work.begun.clear()
    work.may.clear()
    queue.put([Job("first", 1)])
    assert work.begun.wait(60)
    late = [[Job(f"late {number}", 20)] for number in range(3)]
    for request in ([old := Job("old", 45)], *late):
        queue.put(list(request))
    finish(work, [old], *late)
    order = [task for (task,) in work.done]
    assert order.index("late 1") < order.index("old")


def test_the_texts_of_a_long_request_take_turns_with_others(work) -> None:
    queue = busy(work)
    many = [Job(f"many {number}", 10) for number in range(4)]
    single = [Job("single", 15)]
    queue.put(many)
    queue.put(single)
    done = finish(work, many, single)
    assert done == [["many 0"], ["single"], ["many 1"], ["many 2"], ["many 3"]]


def test_jobs_of_one_kind_are_done_together_up_to_a_limit(work) -> None:
    queue = busy(work, most_together=25)
    jobs = [Job(str(number), 10, "a" if number < 5 else "b") for number in range(6)]
    queue.put(jobs)
    assert finish(work, jobs) == [["0", "1"], ["2", "3"], ["4"], ["5"]]


def test_what_was_cancelled_is_not_done_and_gives_room(work) -> None:
    queue = busy(work, most_waiting=100)
    gone, stays = [Job("gone", 90)], [Job("stays", 90)]
    queue.put(gone)
    with pytest.raises(BusyError) as refused:
        queue.put(stays)
    assert refused.value.seconds >= 1
    gone[0].future.cancel()
    assert len(queue) == 0
    queue.put(stays)
    assert finish(work, stays) == [["stays"]]


def test_closing_cancels_what_waits(work) -> None:
    queue = busy(work)
    waiting = [Job("waiting", 1)]
    queue.put(waiting)
    queue.close(0)
    with pytest.raises(CancelledError):
        waiting[0].future.result(60)
    assert queue.is_working
    with pytest.raises(BusyError):
        queue.put([Job("late", 1)])
    work.may.set()
    queue.close(60)
    assert not queue.is_working
    assert work.done == [["first"]]
