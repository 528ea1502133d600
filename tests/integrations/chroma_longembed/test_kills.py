"""Runs killed past the thousandth record, where Chroma writes its vector files in place.

Half of the kills come at the very moment at which a vector file changes; the rest at any.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from subprocess import Popen

import pytest
from store_steps import begin, step

LONGEST_SECONDS = 5.0
STEPS = [("index", version, share) for version in range(3) for share in (1, 2)] + [
    ("reindex",),
    ("repair",),
]


def files_state(place: Path) -> list[tuple[str, int, int]]:
    states = []
    for file in place.glob("*/*"):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        states.append((file.name, status.st_size, status.st_mtime_ns))
    return sorted(states)


def kill(process: Popen[str], place: Path, draw: random.Random, *, at_a_change: bool) -> bool:
    """Kill a process; whether it was still at work."""
    if at_a_change:
        before, wait = files_state(place), time.monotonic() + 4 * LONGEST_SECONDS
        while files_state(place) == before and process.poll() is None and time.monotonic() < wait:
            pass
        time.sleep(draw.choice([0, 0.0005, 0.002, 0.01]))
    else:
        time.sleep(1 + draw.uniform(0, LONGEST_SECONDS))
    process.kill()
    process.communicate()
    return process.returncode == -9


def run_killed(place: Path, documents: int, kills: int, seed: int) -> tuple[int, int]:
    """How many kills hit a process at work, and how many of those cost vectors."""
    draw = random.Random(seed)
    hits = damaged = 0
    for number in range(kills):
        name, *arguments = draw.choice(STEPS)
        process = begin(place, documents, name, *arguments)
        hit = kill(process, place, draw, at_a_change=number % 2 == 0)
        hits += hit
        found = step(place, documents, "search")
        assert found.startswith("right") or "longembed repair" in found, found
        damaged += found.startswith("error")
        if found.startswith("error") and draw.random() < 0.5:
            # Not always, so that repairs are killed, too.
            assert step(place, documents, "repair").startswith("right")
    return hits, damaged


def assert_whole(place: Path, documents: int) -> None:
    """What was interrupted is finished, and everything is there and found."""
    step(place, documents, "index", 7, 1)
    assert step(place, documents, "search") == f"right {documents}\n"
    names = step(place, documents, "names").splitlines()
    assert [line.split()[0] for line in names] == sorted(f"d{n}" for n in range(documents))
    assert all("version 7 of" in line for line in names)


@pytest.mark.slow
@pytest.mark.parametrize(("documents", "kills"), [(1200, 3), (2500, 200)])
def test_killed_again_and_again(tmp_path, documents, kills) -> None:
    place = tmp_path / "store"
    step(place, documents, "index", 0, 1)
    hits, damaged = run_killed(place, documents, kills, seed=1)
    print(f"{hits} of {kills} kills hit a run at work; {damaged} times vectors were lost")
    assert hits
    assert_whole(place, documents)
