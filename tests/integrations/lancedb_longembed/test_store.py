"""LanceDB passes the tests of every store; what it promises beyond that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lancedb
import numpy as np
import pytest

from lancedb_longembed.folders import LanceFolders
from lancedb_longembed.store import LanceStore
from lancedb_longembed.tables import Database
from longembed_index.errors import StoreError
from longembed_index.store import kinds
from longembed_index.store.conformance import (
    INFO,
    OTHER_INFO,
    StoreKindTests,
    StoreTests,
    contents,
    expected,
    record,
)
from longembed_st.errors import ConfigError

QUERY = np.array([1, 0, 0], dtype=np.float32)


def open_store(folder: Path, write: bool = False) -> LanceStore:
    return LanceFolders().open(folder, "documents", create=None, write=write)


@pytest.fixture
def store(tmp_path) -> Iterator[LanceStore]:
    store = LanceFolders().open(tmp_path, "documents", create=INFO, write=True)
    yield store
    store.close()


class TestLanceStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path) -> Iterator[LanceStore]:
        self.folder = tmp_path
        store = LanceFolders().open(tmp_path, "documents", create=INFO, write=True)
        yield store
        store.close()

    def reopen(self, store) -> LanceStore:
        return open_store(self.folder)


class TestLanceFolders(StoreKindTests):
    @pytest.fixture
    def kind(self) -> LanceFolders:
        return LanceFolders()


def test_a_store_without_its_newest_version_is_refused(tmp_path) -> None:
    """LanceDB shows the version before."""
    store = LanceFolders().open(tmp_path, "documents", create=INFO, write=True)
    store.write([record("a")])
    store.close()
    # The later a version is, the smaller is its number.
    min((tmp_path / "documents.lance" / "_versions").glob("*.manifest")).unlink()
    for write in (False, True):
        with pytest.raises(StoreError, match=r"newest version .* is missing\. Restore"):
            open_store(tmp_path, write)


def test_a_write_with_deletions_is_one_commit(store, tmp_path) -> None:
    store.write([record("a"), record("b")])
    before = store.generation
    store.write([record("c")], delete=["a", "absent", "\ud800"])
    assert store.generation == before + 1
    store.write([], delete=["b"])
    assert contents(open_store(tmp_path)) == expected(record("c"))


WRITER = """
import sys
from pathlib import Path
from lancedb_longembed.folders import LanceFolders
from longembed_index.store.conformance import OTHER_INFO, record
store = LanceFolders().open(Path(sys.argv[1]), "documents", create=None, write=True)
store.write([record("theirs", 1, 0, 0)])
if sys.argv[2] == "switch":
    store.stage(OTHER_INFO).write([record("new", 1, 0, 0)])
    store.switch()
    store.drop_replaced()
store.close()
"""


@pytest.mark.parametrize(("what", "there"), [("write", "theirs"), ("switch", "new")])
def test_an_open_reader_sees_what_another_process_does(store, tmp_path, what, there) -> None:
    store.write([record("ours", 0, 1, 0)])
    reader = open_store(tmp_path)
    before = reader.generation
    subprocess.run([sys.executable, "-c", WRITER, str(tmp_path), what], check=True)
    assert reader.generation > before
    assert reader.nearest(QUERY, 1)[0][0] == there
    made_by = (OTHER_INFO if what == "switch" else INFO).provenance
    assert reader.info.provenance.fingerprint == made_by.fingerprint


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:lancedb fork support is experimental")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_refused_and_the_parent_goes_on(store) -> None:
    store.write([record("a", 1, 0, 0)])
    child = os.fork()
    if child == 0:
        try:
            store.nearest(QUERY, 1)
        except StoreError as error:
            os._exit(0 if "in a forked process" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.nearest(QUERY, 1)[0][0] == "a"


def test_a_name_is_not_used_for_a_second_table(store, tmp_path) -> None:
    """A reader would take it for the first."""
    names = set()
    for number in range(3):
        store.write([record(f"{number}", 1, 0, 0)])
        reader = open_store(tmp_path)
        assert [key for key, _ in reader.nearest(QUERY, 5)] == [f"{number}"]
        names.add(store.stage(INFO).write([]) or store.switch())
        assert len(reader) == 0
        store.drop_replaced()
    assert len(names) == 3


def test_a_table_of_another_program_is_left_alone(tmp_path) -> None:
    lancedb.connect(str(tmp_path)).create_table("documents", [{"id": "x", "vector": [1.0, 2.0]}])
    with pytest.raises(ConfigError, match="not made by longembed"):
        LanceFolders().open(tmp_path, "documents", create=INFO, write=True)
    LanceFolders().open(tmp_path, "ours", create=INFO, write=True).write([record("a")])
    assert lancedb.connect(str(tmp_path)).open_table("documents").count_rows() == 1


def test_a_name_that_lancedb_does_not_take_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="does not take 'a b/ü'"):
        LanceFolders().open(tmp_path, "a b/ü", create=INFO, write=True)


def test_another_program_reads_plain_columns(store, tmp_path) -> None:
    store.write([record("a", 1, 0, 0, text="the text", year=2019)])
    (row,) = (
        lancedb.connect(str(tmp_path))
        .open_table("documents")
        .search(QUERY, vector_column_name="vector")
        .to_list()
    )
    assert (row["id"], row["text"], row["title"]) == ("a", "the text", "a")
    assert json.loads(row["metadata"]) == {"year": 2019}
    assert row["vector"] == [1, 0, 0]


def test_a_store_keeps_one_language(store) -> None:
    store.write([record("a")])
    store.update_info(replace(INFO, language=None))
    assert store.lexical().language == "english"
    with pytest.raises(StoreError, match="language of the store is english, not german"):
        store.update_info(replace(INFO, language="german"))


def test_a_store_in_another_place_has_no_size(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path / "cache"))
    url = f"file://{tmp_path / 'store'}"
    address = kinds.parse_address(f"lancedb:{url}")
    store = kinds.open_store(address.directory, kind="lancedb", create=INFO, write=True)
    store.write([record("a")])
    store.close()
    kind = kinds.find_kind(address.directory)
    assert (kind.size(address.directory), kind.address(address.directory)) == (None, url)
    assert len(kinds.open_store(address.directory)) == 1
    assert len(LanceStore(Database(str(tmp_path / "store")), "documents")) == 1
