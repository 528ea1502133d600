from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import chromadb
import numpy as np
import pytest
from stored import contents

from chroma_longembed import LongEmbedEmbeddingFunction, StoreError
from chroma_longembed.ingestion import ingest
from chroma_longembed.records import Record
from chroma_longembed.sources import TextSource
from chroma_longembed.store import COLLECTION, is_store, open_store, read_settings
from longembed_st.errors import ConfigError

DOCUMENTS = [
    TextSource("cats", "cats and dogs are kept as pets " * 40),
    TextSource("money", "the central bank raised interest rates " * 40),
    TextSource("rain", "heavy rain is forecast for the weekend"),
]


def test_what_is_written_is_found_again_after_closing(minilm, tmp_path) -> None:
    with open_store(tmp_path, minilm, write=True) as store:
        ingest(DOCUMENTS, store, minilm)
        assert len(store) == 3
    with open_store(tmp_path, minilm) as store:
        hits = store.search("pets", 2)
        assert hits[0].source == "cats"
        assert len(hits) == 2
        assert hits[0].score > hits[1].score
        expected = minilm([DOCUMENTS[0].document])[0] @ minilm.embed_query(["pets"])[0]
        assert hits[0].score == pytest.approx(float(expected), abs=1e-5)
        assert hits[0].share_read == 1
        assert len(store.search("pets", 100)) == 3


def test_names_are_read_page_by_page(minilm, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("chroma_longembed.store._PAGE", 2)
    with open_store(tmp_path, minilm, write=True) as store:
        ingest(DOCUMENTS, store, minilm)
        assert sorted(name for _, name in store.names()) == ["cats", "money", "rain"]


def test_the_settings_can_be_read_without_a_model(minilm, tmp_path, monkeypatch) -> None:
    assert read_settings(tmp_path) is None
    with open_store(tmp_path, minilm, write=True):
        pass
    monkeypatch.setattr("chroma_longembed.embedding_function.cached_model", None)
    settings = read_settings(tmp_path)
    assert settings is not None
    assert settings["method"] == "pcw"
    assert settings["fingerprint"] == minilm.fingerprint


def test_the_device_of_one_machine_is_not_asked_of_the_next(minilm_folder, tmp_path) -> None:
    with open_store(
        tmp_path, LongEmbedEmbeddingFunction(str(minilm_folder), device="cpu"), write=True
    ):
        pass
    assert read_settings(tmp_path)["device"] is None


def test_a_folder_that_is_not_a_store_is_left_as_it_is(minilm, tmp_path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for call in (is_store, read_settings):
        with pytest.raises(StoreError, match=r"not a store: .*no chroma\.sqlite3"):
            call(tmp_path)
    for write in (True, False):
        with (
            pytest.raises(StoreError, match="not a store"),
            open_store(tmp_path, minilm, write=write),
        ):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_a_store(minilm, tmp_path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        is_store(file)


def test_reading_creates_nothing(minilm, tmp_path) -> None:
    for directory in (tmp_path, tmp_path / "new"):
        with pytest.raises(StoreError, match="no store"), open_store(directory, minilm):
            pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0" + b"junk" * 300, b"no database" * 400])
def test_a_damaged_database_is_a_one_line_error(minilm, tmp_path, data) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(data)
    if not data:
        # SQLite takes an empty file for an empty database.
        assert read_settings(tmp_path) is None
        return
    with pytest.raises(StoreError, match="cannot open") as caught:
        read_settings(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_an_error(minilm, tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(StoreError, match="cannot write to"),
        open_store(tmp_path / "file" / "store", minilm, write=True),
    ):
        pass


def test_a_second_writer_is_refused_and_readers_are_not(minilm, tmp_path) -> None:
    with open_store(tmp_path, minilm, write=True) as store:
        ingest(DOCUMENTS, store, minilm)
        with (
            pytest.raises(StoreError, match="another process is writing"),
            open_store(tmp_path, minilm, write=True),
        ):
            pass
        with open_store(tmp_path, minilm) as reader:
            assert len(reader) == 3
    with open_store(tmp_path, minilm, write=True) as store:
        assert len(store) == 3


def test_a_second_writer_waits_if_told(minilm, tmp_path) -> None:
    released = threading.Event()

    def hold() -> None:
        with open_store(tmp_path, minilm, write=True) as store:
            ingest(DOCUMENTS[:1], store, minilm)
            held.set()
            released.wait(20)

    held = threading.Event()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(hold)
        assert held.wait(20)
        with (
            pytest.raises(StoreError, match="--wait"),
            open_store(tmp_path, minilm, write=True, wait=0.2),
        ):
            pass
        threading.Timer(0.3, released.set).start()
        with open_store(tmp_path, minilm, write=True, wait=20) as store:
            assert released.is_set()
            ingest(DOCUMENTS, store, minilm)
            assert len(store) == 3
        first.result()


def test_a_foreign_collection_in_the_store_is_refused(minilm, tmp_path) -> None:
    with chromadb.PersistentClient(str(tmp_path)) as client:
        client.create_collection(COLLECTION, embedding_function=None)
    with pytest.raises(ConfigError, match="not made by longembed"):
        read_settings(tmp_path)


def test_chroma_errors_become_ours(minilm, tmp_path) -> None:
    with open_store(tmp_path, minilm, write=True) as store:
        ingest(DOCUMENTS, store, minilm)
        with pytest.raises(StoreError, match=r"cannot write the store: .*dimension"):
            store.write([Record("id", "text", np.ones(3, dtype=np.float32), {"source": "s"})])


def test_a_sample_is_spread_over_the_store(minilm, tmp_path) -> None:
    with open_store(tmp_path, minilm, write=True) as store:
        ingest(DOCUMENTS, store, minilm)
        assert len({record.id for record in store.sample(2)}) == 2
        (record, *others) = store.sample(100)
        assert len(others) == 2
        np.testing.assert_allclose(record.vector, minilm([record.text])[0], atol=1e-5)


KILLED = """
import os, signal, sys
from pathlib import Path
from chroma_longembed import LongEmbedEmbeddingFunction
from chroma_longembed.ingestion import ingest
from chroma_longembed.sources import TextSource
from chroma_longembed.store import ChromaStore, open_store

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
function = LongEmbedEmbeddingFunction(model, "pcw")
texts = [TextSource(f"d{i}", f"revised document number {i}") for i in range(8)]
with open_store(Path(directory), function, write=True) as store:
    ingest(texts, store, function, batch_characters=50)
"""


@pytest.mark.parametrize(("action", "calls"), [("write", 2), ("delete", 2)])
def test_a_killed_run_is_finished_by_running_it_again(
    minilm, minilm_folder, tmp_path, action, calls
) -> None:
    old = [TextSource(f"d{i}", f"document number {i}") for i in range(8)]
    new = [TextSource(f"d{i}", f"revised document number {i}") for i in range(8)]
    killed, clean = tmp_path / "killed", tmp_path / "clean"
    for directory in (killed, clean):
        with open_store(directory, minilm, write=True) as store:
            ingest(old[:4], store, minilm)
    command = [sys.executable, "-c", KILLED, str(killed), str(minilm_folder), action, str(calls)]
    assert subprocess.run(command, env=os.environ, check=False).returncode == -9
    for directory in (killed, clean):
        with open_store(directory, minilm, write=True) as store:
            ingest(new, store, minilm, batch_characters=50)
    expected, actual = contents(clean), contents(killed)
    assert actual.keys() == expected.keys()
    assert len(actual) == 8
    for key, (text, data, vector) in expected.items():
        assert actual[key][:2] == (text, data)
        np.testing.assert_allclose(actual[key][2], vector, atol=1e-6)
