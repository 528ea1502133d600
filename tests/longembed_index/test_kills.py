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
from longembed_index.embedding import document_embedder
from longembed_index.hybrid import catch_up as catch_up_words
from longembed_index.ingestion import ingest
from longembed_index.opening import COLLECTION, open_store
from longembed_index.sources import TextSource, find_files
from longembed_index.spans import SpanFile
from stored import contents

from longembed_index.lexical import WordFile

KILLS = 20

INDEX = """
import sys
from pathlib import Path
from longembed_index.embedding import document_embedder, storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store
from longembed_index.sources import find_files
from longembed_st.base.settings import ModelSettings

model = storable_model(ModelSettings(model_name=sys.argv[3], method="pcw"))
embed = document_embedder(model)
print("ready", flush=True)
with open_store(Path(sys.argv[2]), model, write=True) as store:
    ingest(find_files([Path(sys.argv[1])]).files, store, embed, batch_characters=4000)
"""

INDEX_WITH_SPANS = """
import sys
from pathlib import Path
from longembed_index.embedding import storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import COLLECTION, open_store
from longembed_index.sources import find_files
from longembed_index.spans import SpanEmbedder, SpanFile, SpannedStore, catch_up
from longembed_st.base.settings import ModelSettings

place = Path(sys.argv[2])
model = storable_model(ModelSettings(model_name=sys.argv[3], method="pcw"))
embed = SpanEmbedder(model.model.encode_spans)
print("ready", flush=True)
with open_store(place, model, write=True) as store:
    spanned = SpannedStore(store, SpanFile(place, COLLECTION), embed)
    ingest(find_files([Path(sys.argv[1])]).files, spanned, embed, batch_characters=4000)
    catch_up(spanned, embed)
"""

INDEX_WORDS = """
import sys
from pathlib import Path
from longembed_index.hybrid import catch_up
from longembed_index.lexical import WordFile
from longembed_index.opening import COLLECTION, open_store

place = Path(sys.argv[1])
print("ready", flush=True)
with open_store(place) as store:
    words = WordFile(place, COLLECTION)
    if sys.argv[2] == "some":
        words.delete(sorted(words.ids())[::3])
    catch_up(store, words)
"""

REINDEX = """
import sys
from pathlib import Path
from longembed_index import reindexing
from longembed_index.embedding import document_embedder, storable_model
from longembed_index.opening import open_store
from longembed_st.base.settings import ModelSettings

reindexing.BATCH_CHARACTERS = 4000
model = storable_model(
    ModelSettings(model_name=sys.argv[3], method="none", on_overflow="truncate")
)
print("ready", flush=True)
with open_store(Path(sys.argv[2]), write=True) as store:
    if not model.is_compatible(store.provenance):
        reindexing.reindex(store, model, document_embedder(model))
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


def index(folder: Path, directory: Path, model) -> float:
    """Seconds that an undisturbed run takes."""
    began = time.perf_counter()
    with open_store(directory, model, write=True) as store:
        ingest(find_files([folder]).files, store, document_embedder(model))
    return time.perf_counter() - began


KILLED = """
import os, signal, sys
from pathlib import Path
from chroma_longembed.store import ChromaStore
from longembed_index.embedding import document_embedder, storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store
from longembed_index.sources import TextSource
from longembed_st.base.settings import ModelSettings

directory, model, action, calls = sys.argv[1:]
done = 0

def die_after(method):
    def called(self, items):
        global done
        method(self, items)
        done += bool(items)
        if done == int(calls):
            os.kill(os.getpid(), signal.SIGKILL)
    return called

setattr(ChromaStore, action, die_after(getattr(ChromaStore, action)))
loaded = storable_model(ModelSettings(model_name=model, method="pcw"))
texts = [TextSource(f"d{i}", f"revised document number {i}") for i in range(8)]
with open_store(Path(directory), loaded, write=True) as store:
    ingest(texts, store, document_embedder(loaded), batch_characters=50)
"""


@pytest.mark.parametrize(("action", "calls"), [("write", 2), ("delete", 2)])
def test_a_killed_run_is_finished_by_running_it_again(
    minilm, minilm_folder, tmp_path, action, calls
) -> None:
    old = [TextSource(f"d{i}", f"document number {i}") for i in range(8)]
    new = [TextSource(f"d{i}", f"revised document number {i}") for i in range(8)]
    embed = document_embedder(minilm)
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    for directory in (killed, clean):
        with open_store(directory, minilm, write=True) as store:
            ingest(old[:4], store, embed)
    command = [sys.executable, "-c", KILLED, str(killed), str(minilm_folder), action, str(calls)]
    assert subprocess.run(command, env=os.environ, check=False).returncode == -9
    for directory in (killed, clean):
        with open_store(directory, minilm, write=True) as store:
            ingest(new, store, embed, batch_characters=50)
    assert_equal(killed, clean, 8)


@pytest.mark.slow
def test_an_ingestion(folder, minilm, minilm_folder, tmp_path) -> None:
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    took = index(folder, clean, minilm)
    arguments = [str(folder), str(killed), str(minilm_folder)]
    hits = kill_and_resume(INDEX, arguments, KILLS, longest=2 * took / KILLS)
    assert hits >= KILLS - 2, "it was done before it could be killed"
    assert_equal(killed, clean, 200)


@pytest.mark.slow
def test_a_reindexing(folder, minilm, short_minilm, minilm_folder, tmp_path) -> None:
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    took = index(folder, clean, short_minilm)
    index(folder, killed, minilm)
    arguments = [str(folder), str(killed), str(minilm_folder)]
    kill_and_resume(REINDEX, arguments, KILLS, longest=2 * took / KILLS)
    assert_equal(killed, clean, 200)


@pytest.mark.slow
def test_spans_appear_with_their_documents(folder, minilm, minilm_folder, tmp_path) -> None:
    began = time.perf_counter()
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    line = [str(folder), str(clean), str(minilm_folder)]
    subprocess.run([sys.executable, "-c", INDEX_WITH_SPANS, *line], check=True)
    longest = time.perf_counter() - began
    line[1] = str(killed)
    assert kill_and_resume(INDEX_WITH_SPANS, line, KILLS, longest / 4) >= KILLS / 2
    assert_equal(killed, clean, 200)
    fingerprint = minilm.fingerprint
    expected = {one.id: one for one in SpanFile(clean, COLLECTION).read(fingerprint)}
    found = {one.id: one for one in SpanFile(killed, COLLECTION).read(fingerprint)}
    assert found.keys() == expected.keys()
    assert len(found) == 200
    for key, one in expected.items():
        assert found[key].ranges.tolist() == one.ranges.tolist()
        np.testing.assert_allclose(found[key].vectors, one.vectors, atol=2e-3)


@pytest.mark.slow
def test_words_grown_under_kills_equal_fresh_ones(folder, minilm, tmp_path) -> None:
    place = tmp_path / "store"
    index(folder, place, minilm)
    began = time.perf_counter()
    fresh = WordFile(tmp_path, COLLECTION)
    with open_store(place) as store:
        catch_up_words(store, fresh)
    longest = 4 * (time.perf_counter() - began)
    assert kill_and_resume(INDEX_WORDS, [str(place), "some"], KILLS, longest) >= KILLS / 4
    subprocess.run([sys.executable, "-c", INDEX_WORDS, str(place), "all"], check=True)
    grown = WordFile(place, COLLECTION)
    ids = sorted(fresh.ids())
    assert sorted(grown.ids()) == ids
    assert len(grown) == len(ids) == 200
    for query in ("the court heard a verdict", "case 17", "every side of the case"):
        assert grown.ask(query).scores(ids) == fresh.ask(query).scores(ids)


@pytest.mark.slow
def test_two_processes_search_while_one_writes(folder, minilm, tmp_path) -> None:
    place = tmp_path / "store"
    index(folder, place, minilm)
    with open_store(place) as store:
        catch_up_words(store, WordFile(place, COLLECTION))
    code = """
import sys
from pathlib import Path
from longembed_index.lexical import WordFile
from longembed_index.opening import COLLECTION
words = WordFile(Path(sys.argv[1]), COLLECTION)
for _ in range(200):
    assert len(words.ask("the court heard a verdict").scores(sorted(words.ids()))) >= 190
"""
    readers = [subprocess.Popen([sys.executable, "-c", code, str(place)]) for _ in range(2)]
    words = WordFile(place, COLLECTION)
    some = sorted(words.ids())[:10]
    with open_store(place) as store:
        texts = {record.id: record.text for record in store.get(some)}
    while any(reader.poll() is None for reader in readers):
        words.delete(some)
        words.add(texts)
    assert [reader.returncode for reader in readers] == [0, 0]
