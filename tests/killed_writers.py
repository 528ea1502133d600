"""Writers of a store that are killed at random moments, and what must be true of it afterwards.

Documents are in batches. Each batch is replaced in one commit, in which one of its documents gives
way to another. So a batch is of one version, or a commit was torn.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from longembed_index.document import Record
from longembed_index.store.conformance import INFO, OTHER_INFO, record
from longembed_index.store.kinds import open_store, writer_lock
from longembed_index.store.protocol import Store

BATCHES, DOCUMENTS = 5, 8
_WRITER = "import sys; from killed_writers import main; main(*sys.argv[1:])"


def batch_of(number: int, version: int) -> list[Record]:
    """Return one version of a batch; its last document is of this version only."""
    keys = [f"{number}-{place}" for place in range(DOCUMENTS)] + [f"{number}-only-in-{version}"]
    return [
        record(
            key,
            *np.random.default_rng([version, place]).normal(size=3).tolist(),
            text=f"word{version} of {key}",
            version=version,
        )
        for place, key in enumerate(keys)
    ]


def write_version(store: Store, version: int) -> None:
    """Bring all batches to a version, each in one commit."""
    stored = {entry.id for entry in store.entries()}
    for number in range(BATCHES):
        records = batch_of(number, version)
        ours = {key for key in stored if key.startswith(f"{number}-")}
        store.write(records, delete=ours - {one.document.id for one in records})


def main(folder: str, kind: str, version: str) -> None:
    """Write one version after the other, every third one into a staged store, until killed."""
    place = Path(folder)
    for current in range(int(version), 10**6):
        with writer_lock(place, wait=60):
            store = open_store(place, kind=kind, create=INFO, write=True)
            print(current, flush=True)
            if current % 3:
                write_version(store, current)
            else:
                staged = store.stage(OTHER_INFO if current % 2 else INFO)
                write_version(staged, current)
                store.switch()
                store.drop_replaced()
            store.close()


def kill_writers(place: Path, kind: str, kills: int, seed: int) -> None:
    """Kill a writer again and again, and check the store after each kill."""
    draw = random.Random(seed)
    version = 1
    for _ in range(kills):
        command = [sys.executable, "-c", _WRITER, str(place), kind, str(version)]
        environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment
        ) as process:
            assert process.stdout is not None
            for _ in range(draw.randint(1, 4)):
                version = int(process.stdout.readline())
            time.sleep(draw.choice([0, 0.002, 0.01, 0.05, 0.2]) * draw.random())
            process.kill()
        check(place, kind)


def check(place: Path, kind: str) -> None:
    """Assert that every batch is of one version, with its vectors, units and words."""
    store = open_store(place, kind=kind)
    entries = list(store.entries())
    ids, vectors = store.vectors()
    assert ids == [entry.id for entry in entries]
    assert sorted(key for key, _ in store.units()) == ids
    places = {key: place for place, key in enumerate(ids)}
    for number in range(BATCHES):
        versions = {e.metadata["version"] for e in entries if e.id.startswith(f"{number}-")}
        assert len(versions) <= 1
        for version in versions:
            expected = batch_of(number, version)
            assert {e.id for e in entries if e.id.startswith(f"{number}-")} == {
                one.document.id for one in expected
            }
            for one in expected:
                np.testing.assert_allclose(vectors[places[one.document.id]], one.vector, atol=2e-3)
            words = store.lexical()
            if words is not None:
                found = words.query(f"word{version}").candidates(1000)
                assert {one.document.id for one in expected} <= set(found)
    store.close()
