"""Steps on a store of many small vectors, each in a process of its own: it may crash, or be killed.

The model costs nothing: a text's vector is drawn at random, seeded by the text and the model.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PATIENCE_SECONDS = 400

COMMON = """
import hashlib, os, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from longembed_index import reindexing
from longembed_index.errors import StoreError
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store
from longembed_index.records import Record
from longembed_index.repairing import repair
from longembed_index.searching import search
from longembed_index.sources import TextSource
from longembed_index.testing import MADE_ANEW, MADE_BY
from longembed_st.base.coverage import Coverage, Encoded

place, count, *arguments = sys.argv[1:]
place, count = Path(place), int(count)
embedded = []

def text(number, version=0):
    return f"version {version} of document number {number}, " + "with many words " * 20

class Model:
    def __init__(self, provenance=MADE_BY):
        self.provenance = provenance

    def vector(self, text):
        seed = hashlib.sha256(f"{self.provenance.fingerprint} {text}".encode()).digest()
        made = np.random.default_rng(int.from_bytes(seed[:8], "little")).normal(size=32)
        return (made / np.linalg.norm(made)).astype(np.float32)

    def __call__(self, texts):
        embedded.extend(texts)
        return Encoded(np.stack([self.vector(t) for t in texts]), [Coverage(7, 7, 1)] * len(texts))

    def is_compatible(self, stored):
        return stored.fingerprint == self.provenance.fingerprint

    def refuse_incompatible(self, stored, what):
        assert self.is_compatible(stored), stored

def sources(numbers, version=0):
    return [TextSource(f"d{number}", text(number, version)) for number in numbers]

def assert_all_found(store):
    model = Model(store.provenance)
    ids = [record_id for record_id, _ in store.names()]
    assert len(ids) == len(store)
    for record in store.get(ids[:: max(1, len(ids) // 20)]):
        hits = search(store, model.vector(record.text), 7)
        assert len(hits) == min(7, len(ids)), len(hits)
        assert hits[0].source == record.name and hits[0].score > 0.999, hits[0]
    assert len(search(store, model.vector("x"), len(ids))) == len(ids)
"""

STEPS = {
    "index": """
version, share = map(int, arguments)
first = None if place.exists() else Model()
kind = os.environ.get("STORE_KIND") if first else None
with open_store(place, first, write=True, kind=kind) as store:
    model = Model(store.provenance)
    repair(store, model)
    ingest(sources(range(0, count, share), version), store, model, batch_characters=5000,
           is_gone=lambda name: True, prune=True)
""",
    "reindex": """
with open_store(place, write=True) as store:
    made = MADE_BY if Model(MADE_ANEW).is_compatible(store.provenance) else MADE_ANEW
    reindexing.BATCH_CHARACTERS = 5000
    reindexing.reindex(store, Model(made), Model(made), drop_old=True)
""",
    "search": """
try:
    with open_store(place) as store:
        assert_all_found(store)
        print("right", len(store))
except StoreError as error:
    print("error:", error)
""",
    "repair": """
try:
    with open_store(place, write=True) as store:
        repair(store, Model(store.provenance))
        assert not store.lost()
    with open_store(place) as store:
        assert_all_found(store)
    print("right", len(embedded))
except StoreError as error:
    print("error:", error)
""",
    "names": """
with open_store(place, write=True) as store:
    print("\\n".join(sorted(f"{record.name} {record.text[:40]}"
                           for record in store.get([key for key, _ in store.names()]))))
""",
}


def begin(place: Path, count: int, name: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a step.

    Args:
        place: The store's folder.
        count: Documents it has when it is full.
        name: The step.
        *arguments: Its arguments.
    """
    given: Sequence[str] = [str(place), str(count), *map(str, arguments)]
    return subprocess.Popen(
        [sys.executable, "-c", COMMON + STEPS[name], *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def step(place: Path, count: int, name: str, *arguments: object) -> str:
    """Do a step to its end, and give what it printed; see `begin`."""
    process = begin(place, count, name, *arguments)
    try:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, errors[-2000:]
    return output


LONGEST_SECONDS = 5.0
KILLED_STEPS = [("index", version, share) for version in range(3) for share in (1, 2)] + [
    ("reindex",),
    ("repair",),
]


def files_state(place: Path) -> list[tuple[str, int, int]]:
    """What shows that something was written below a store's folder."""
    states = []
    for file in place.glob("*/**/*"):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        states.append((file.name, status.st_size, status.st_mtime_ns))
    return sorted(states)


def kill(
    process: subprocess.Popen[str], place: Path, draw: random.Random, *, at_a_change: bool
) -> bool:
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
        name, *arguments = draw.choice(KILLED_STEPS)
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
