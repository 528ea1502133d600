"""Steps on a store of many small vectors, each in a process of its own: it may crash, or be killed.

The model costs nothing: a text's vector is drawn at random, seeded by the text and the model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PATIENCE_SECONDS = 400

COMMON = """
import hashlib, sys
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
from longembed_st.coverages import Coverage, Encoded

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

    def makes(self, stored):
        return stored.fingerprint == self.provenance.fingerprint

    def refuse_other_vectors(self, stored, what):
        assert self.makes(stored), stored

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
with open_store(place, first, write=True) as store:
    model = Model(store.provenance)
    repair(store, model)
    ingest(sources(range(0, count, share), version), store, model, batch_characters=5000,
           is_gone=lambda name: True, prune=True)
""",
    "reindex": """
with open_store(place, write=True) as store:
    made = MADE_BY if Model(MADE_ANEW).makes(store.provenance) else MADE_ANEW
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
