"""Runs that are killed at random moments, again and again, end like a run that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from stored import contents

from chroma_longembed import LongEmbedEmbeddingFunction
from chroma_longembed.ingestion import ingest
from chroma_longembed.sources import find_files
from chroma_longembed.store import open_store

KILLS = 20

INDEX = """
import sys
from pathlib import Path
from chroma_longembed import LongEmbedEmbeddingFunction
from chroma_longembed.ingestion import ingest
from chroma_longembed.sources import find_files
from chroma_longembed.store import open_store

function = LongEmbedEmbeddingFunction(sys.argv[3], "pcw")
print("ready", flush=True)
with open_store(Path(sys.argv[2]), function, write=True) as store:
    ingest(find_files([Path(sys.argv[1])]).files, store, function, batch_characters=4000)
"""

REINDEX = """
import sys
from pathlib import Path
from chroma_longembed import LongEmbedEmbeddingFunction, reindexing
from chroma_longembed.collection import stored_settings
from chroma_longembed.store import write_client

reindexing.BATCH_CHARACTERS = 4000
function = LongEmbedEmbeddingFunction(sys.argv[3], "none", on_overflow="truncate")
print("ready", flush=True)
with write_client(Path(sys.argv[2])) as client:
    if stored_settings(client, "documents")["fingerprint"] != function.fingerprint:
        reindexing.reindex(client, "documents", function)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """200 documents of up to 500 words."""
    folder = tmp_path_factory.mktemp("documents")
    draw = random.Random(0)
    sentence = "the court heard every side of the case before it found a verdict at last"
    words = sentence.split()
    for number in range(200):
        text = " ".join(draw.choices(words, k=draw.randint(20, 500)))
        (folder / f"case-{number}.txt").write_text(f"Case {number}. {text}")
    return folder


def kill_and_resume(code: str, arguments: list[str], kills: int, longest: float) -> int:
    """Kill a program at random moments after it is ready; how many kills hit it at work."""
    draw = random.Random(1)
    hits = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        hits += process.wait() == -signal.SIGKILL
        process.stdout.close()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    return hits


def assert_equal(killed: Path, clean: Path, count: int) -> None:
    actual, expected = contents(killed), contents(clean)
    assert len(expected) == count
    assert actual.keys() == expected.keys()
    for key, (text, data, vector) in expected.items():
        assert actual[key][:2] == (text, data)
        np.testing.assert_allclose(actual[key][2], vector, atol=1e-6)


@pytest.mark.slow
def test_an_ingestion(folder, minilm, minilm_folder, tmp_path) -> None:
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    with open_store(clean, minilm, write=True) as store:
        began = time.perf_counter()
        ingest(find_files([folder]).files, store, minilm)
        took = time.perf_counter() - began
    arguments = [str(folder), str(killed), str(minilm_folder)]
    hits = kill_and_resume(INDEX, arguments, KILLS, longest=2 * took / KILLS)
    assert hits >= KILLS - 2, "it was done before it could be killed"
    assert_equal(killed, clean, 200)


@pytest.mark.slow
def test_a_reindexing(folder, minilm, minilm_folder, tmp_path) -> None:
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    short = LongEmbedEmbeddingFunction(str(minilm_folder), "none", on_overflow="truncate")
    began = time.perf_counter()
    with open_store(clean, short, write=True) as store:
        ingest(find_files([folder]).files, store, short)
    took = time.perf_counter() - began
    with open_store(killed, minilm, write=True) as store:
        ingest(find_files([folder]).files, store, minilm)
    arguments = [str(folder), str(killed), str(minilm_folder)]
    kill_and_resume(REINDEX, arguments, KILLS, longest=2 * took / KILLS)
    assert_equal(killed, clean, 200)
