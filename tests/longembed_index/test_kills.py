"""Runs that are killed at random moments, again and again, end like a run that was not."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from index_fakes import use_fake_models

from longembed_index import Document, Index

DOCUMENTS = 60
_PATH = {"PYTHONPATH": ":".join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}

WRITER = """
import random, sys
from index_fakes import use_fake_models
from longembed_index import Index
from longembed_index.maintain import ingest, reindex
from test_kills import documents

place, seed = sys.argv[1:]
use_fake_models()
# Many small commits.
ingest.BATCH_DOCUMENTS, reindex.BATCH_CHARACTERS = 5, 500
draw = random.Random(seed)
print("ready", flush=True)
with Index.open(place, wait=60) as index:
    for _ in range(1000):
        action = draw.choice(["add", "add", "delete", "reindex"])
        if action == "add":
            index.add_documents(documents(draw.randrange(100)))
        elif action == "delete":
            index.delete([f"d{draw.randrange(60)}" for _ in range(20)])
        else:
            window = 20 + 10 * (index.info.provenance.settings.max_seq_length == 20)
            index.reindex(max_seq_length=window, drop_old=True, restart=True)
"""

WHITENER = """
import sys
from longembed_index import Index
from longembed_index.maintain import reindex
from longembed_tuning import whiten
from longembed_tuning.judging import Judgement

whiten.compare = lambda *arguments: Judgement(50, 60, 5, 15, 99, 40)
reindex.BATCH_CHARACTERS = 1000
with Index.open(sys.argv[1], wait=60) as index:
    index.model
    print("ready", flush=True)
    whitened = index.info.provenance.settings.whitening is not None
    if not whitened:
        index.reindex(whiten=True, method="pcw")
"""


def documents(version: int) -> list[Document]:
    texts = {f"d{i}": f"version {version} of document number {i} " * 3 for i in range(DOCUMENTS)}
    return [Document(key, text, {"version": version}) for key, text in texts.items()]


def kill(code: str, arguments: list[str], draw: random.Random, longest: float) -> bool:
    """Kill a program at a random moment after it is ready, and return whether it was at work."""
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(Path(__file__).parent)!r})"]
    command[-1] += "\n" + code
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, text=True, env=_PATH
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, longest))
        process.kill()
    return process.returncode == -9


def check_whole(index: Index) -> None:
    """Check that every document has its vector, units and words."""
    entries = {entry.id: entry for entry in index.documents()}
    assert index.verify(len(entries) or 1) == len(entries)
    for version in {entry.metadata["version"] for entry in entries.values()}:
        of_version = sum(entry.metadata["version"] == version for entry in entries.values())
        hits = index.search(f'"version {version}"', k=100, mode="lexical", passages=0)
        assert len(hits) == of_version
    assert index.stats().words == len(entries)


@pytest.mark.parametrize("kills", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_lost_or_torn_and_the_next_run_goes_on(tmp_path, monkeypatch, kills) -> None:
    use_fake_models(monkeypatch)
    place, draw = tmp_path / "store", random.Random(0)
    with Index.open(place, "some/one", max_seq_length=20, on_overflow="truncate") as index:
        index.add_documents(documents(0))
    for seed in range(kills):
        assert kill(WRITER, [str(place), str(seed)], draw, longest=0.5)
        with Index.open(place) as index:
            check_whole(index)
    with Index.open(place) as index:
        index.add_documents(documents(1000))
        check_whole(index)
        stored = {entry.id: index.get(entry.id) for entry in index.documents()}
        assert stored == {document.id: document for document in documents(1000)}
        index.drop_replaced()


@pytest.mark.slow
@pytest.mark.usefixtures("gains")
def test_a_whitening_that_is_killed_goes_on(tmp_path, small_model) -> None:
    place, draw = tmp_path / "store", random.Random(0)
    with Index.open(place, small_model("bert", positions=64), method="pcw") as index:
        index.add_documents(documents(0))
        before = index.info.provenance
        for _ in range(10):
            kill(WHITENER, [str(place)], draw, longest=2)
            assert index.verify(DOCUMENTS) == DOCUMENTS
        if index.info.provenance == before:
            index.reindex(whiten=True, method="pcw")
        assert index.info.provenance.settings.whitening is not None
        assert index.verify(DOCUMENTS) == DOCUMENTS
        _, vectors = index._resources.existing_store().vectors()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert len(list(place.glob("whitening-*"))) <= 11
