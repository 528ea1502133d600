"""The kind "chroma": the SQLite file passes the tests of every store, and Chroma mirrors it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import chromadb
import numpy as np
import pytest

from chroma_longembed import mirror as mirror_module
from chroma_longembed import open_collection, reindex
from chroma_longembed.folders import ChromaFolders
from chroma_longembed.mirror import GENERATION, MIRROR_OF, flat_metadata
from longembed_index.document import Document
from longembed_index.errors import StoreError, StoreWarning
from longembed_index.store.conformance import INFO, OTHER_INFO, StoreKindTests, StoreTests, record
from longembed_index.store.kinds import find_kind, open_store, read_info
from longembed_index.store.memory import entry_of
from longembed_index.store.protocol import Store
from longembed_index.store.sqlite import FILE_NAME, SqliteStores
from longembed_st.errors import ConfigError

pytestmark = [
    pytest.mark.filterwarnings("error::longembed_index.errors.StoreWarning"),
    # Chroma looks for the model of a collection that is written to; here there is none.
    pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function"),
]


def open_to_write(folder: Path, collection: str = "documents") -> Store:
    return ChromaFolders().open(folder, collection, create=INFO, write=True)


# The file, which passes them as the kind "sqlite", does nearly all of it.
@pytest.mark.slow
class TestChromaStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path) -> Iterator[Store]:
        self.folder = tmp_path
        store = open_to_write(tmp_path)
        yield store
        store.close()

    def reopen(self, store) -> Store:
        return ChromaFolders().open(self.folder, "documents", create=None, write=False)


class TestChromaFolders(StoreKindTests):
    @pytest.fixture
    def kind(self) -> ChromaFolders:
        return ChromaFolders()


def mirrored(folder: Path, name: str = "documents") -> dict[str, tuple]:
    """Read what another program finds: text, metadata and vector by id."""
    with chromadb.PersistentClient(str(folder)) as client:
        columns = client.get_collection(name, embedding_function=None).get(
            include=["documents", "metadatas", "embeddings"]
        )
    rows = zip(columns["documents"], columns["metadatas"], columns["embeddings"], strict=True)
    return {
        key: (text, metadata, vector.tolist())
        for key, (text, metadata, vector) in zip(columns["ids"], rows, strict=True)
    }


def expected(*records) -> dict[str, tuple]:
    return {
        one.document.id: (
            one.document.text,
            flat_metadata(entry_of(one)),
            pytest.approx(one.vector.tolist(), abs=2e-3),
        )
        for one in records
    }


def assert_mirrors(folder: Path, *records) -> None:
    assert mirrored(folder) == expected(*records)


@pytest.fixture
def spoil(monkeypatch):
    """Let the mirror fail when it copies documents, some of which it has copied then."""

    def spoil(after: int) -> None:
        put, calls = mirror_module.put_records, []

        def put_or_fail(*arguments):
            calls.append(arguments)
            if len(calls) > after:
                raise OSError("no space left on device")
            put(*arguments)

        monkeypatch.setattr(mirror_module, "_AT_ONCE", 2)
        monkeypatch.setattr(mirror_module, "put_records", put_or_fail)

    return spoil


def test_a_run_is_mirrored_when_it_ends(tmp_path) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("a", year=2019), record("b")])
    assert_mirrors(tmp_path, record("a", year=2019), record("b"))
    with closing(open_to_write(tmp_path)) as store:
        # A key that the new version does not have is gone.
        store.write([record("a", text="changed")], delete=["b"])
        store.write([record("c")])
    assert_mirrors(tmp_path, record("a", text="changed"), record("c"))


def test_a_first_run_that_was_killed_before_the_store_was_made_goes_on(tmp_path) -> None:
    open_to_write(tmp_path).close()
    # Chroma's files come first.
    for file in tmp_path.glob(f"{FILE_NAME}*"):
        file.unlink()
    assert isinstance(find_kind(tmp_path), ChromaFolders)
    assert read_info(tmp_path) is None
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("a")])
    assert_mirrors(tmp_path, record("a"))


def test_only_what_has_changed_is_copied(tmp_path, monkeypatch) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record(key) for key in "abc"])
    copied = []
    put = mirror_module.put_records
    monkeypatch.setattr(
        mirror_module,
        "put_records",
        lambda collection, records, vectors: (
            copied.extend(one.id for one in records),
            put(collection, records, vectors),
        ),
    )
    with closing(open_to_write(tmp_path)):
        pass
    assert copied == []
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("b", new=True)])
    assert copied == ["b"]
    # Written past the mirror: all are compared.
    with closing(SqliteStores().open(tmp_path, "documents", create=None, write=True)) as store:
        store.write([record("c", new=True)], delete=["a"])
    with closing(open_to_write(tmp_path)):
        pass
    assert copied == ["b", "c"]
    assert_mirrors(tmp_path, record("b", new=True), record("c", new=True))


def test_metadata_are_flattened_for_chroma(tmp_path) -> None:
    metadata = {
        "list": [1, "two"],
        "mapping": {"a": None},
        "nothing": None,
        "large": 2**70,
        "share": 0.5,
        "draft": True,
        "$and": "not a key in Chroma",
        "": 1,
        "chroma:document": "reserved",
        "surrogate\ud800": "\ud800",
    }
    document = Document("a", "text \ud800 \0 end", metadata, "title \ud800")
    with closing(open_to_write(tmp_path)) as store:
        store.write([replace(record("a"), document=document)])
        assert store.get(["a"])[0].document == document
    text, found, _ = mirrored(tmp_path)["a"]
    assert text == "text ? \0 end"
    assert found == {
        "list": '[1, "two"]',
        "mapping": '{"a": null}',
        "large": str(2**70),
        "share": 0.5,
        "draft": True,
        "surrogate?": "?",
        "source": "a",
        "title": "title ?",
        "content_hash": "hash of a",
        "tokens": 7,
        "read": 6,
        "windows": 1,
    }


def test_other_vectors_take_the_place_of_the_old_mirror(tmp_path) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("a", 1, 0, 0), record("b")])
        store.stage(OTHER_INFO).write([record("a", 0, 1, 0)])
        store.switch()
    assert_mirrors(tmp_path, record("a", 0, 1, 0))
    with chromadb.PersistentClient(str(tmp_path)) as client:
        (collection,) = client.list_collections()
        function = collection.configuration_json["embedding_function"]
    assert (function["type"], function["name"]) == ("known", "longembed")
    assert function["config"] == OTHER_INFO.provenance.to_dict()


def test_a_mirror_that_cannot_be_written_is_a_warning(tmp_path, spoil, monkeypatch) -> None:
    """Nothing is lost, and the next run that writes brings it up to date."""
    spoil(after=1)
    store = open_to_write(tmp_path)
    store.write([record(key) for key in "abcde"])
    with pytest.warns(StoreWarning, match="no space left on device. The next run"):
        store.close()
    assert len(open_store(tmp_path)) == 5
    assert len(mirrored(tmp_path)) == 2
    monkeypatch.undo()
    with closing(open_to_write(tmp_path)) as store:
        store.write([], delete=["a"])
    assert_mirrors(tmp_path, *map(record, "bcde"))


def test_a_rebuilding_that_was_cut_off_begins_anew(tmp_path, spoil, monkeypatch) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record(key) for key in "abcd"])
    spoil(after=1)
    store = open_to_write(tmp_path)
    store.stage(OTHER_INFO).write([record(key, 0, 1, 0) for key in "abcd"])
    store.switch()
    with pytest.warns(StoreWarning):
        store.close()
    # Until then, other programs have the old vectors, whole.
    assert_mirrors(tmp_path, *map(record, "abcd"))
    monkeypatch.undo()
    open_to_write(tmp_path).close()
    assert_mirrors(tmp_path, *(record(key, 0, 1, 0) for key in "abcd"))


def test_a_mirror_that_is_gone_is_made_again(tmp_path) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("a"), record("b")])
    with chromadb.PersistentClient(str(tmp_path)) as client:
        client.delete_collection("documents")
    open_to_write(tmp_path).close()
    assert_mirrors(tmp_path, record("a"), record("b"))


def test_searches_never_ask_chroma(tmp_path, monkeypatch) -> None:
    with closing(open_to_write(tmp_path)) as store:
        store.write([record("a", 1, 0, 0)])
    monkeypatch.setattr(mirror_module, "connected", None)
    store = open_store(tmp_path)
    assert store.nearest(np.array([1, 0, 0], dtype=np.float32), 1)[0][0] == "a"
    assert isinstance(find_kind(tmp_path), ChromaFolders)


def test_a_server_out_of_reach_is_a_warning(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ChromaFolders, "address", lambda *arguments: "http://127.0.0.1:1")
    store = open_to_write(tmp_path)
    store.write([record("a")])
    with pytest.warns(StoreWarning, match="cannot write to Chroma at http://127.0.0.1:1"):
        store.close()
    assert len(open_store(tmp_path)) == 1


def test_collections_of_others_are_left_alone(tmp_path, minilm) -> None:
    open_to_write(tmp_path).close()
    with chromadb.PersistentClient(str(tmp_path)) as client:
        client.create_collection("theirs", embedding_function=None)
        open_collection(client, "guarded", minilm)
    with pytest.raises(ConfigError, match="not made by longembed"):
        open_to_write(tmp_path, "theirs")
    with pytest.raises(ConfigError, match="does not mirror this store"):
        open_to_write(tmp_path, "guarded")
    with pytest.raises(ConfigError, match="does not take 'a b'"):
        open_to_write(tmp_path, "a b")
    for name in ("theirs", "guarded", "a b"):
        with pytest.raises(StoreError):
            open_store(tmp_path, name)


def test_a_mirror_is_not_reindexed_by_itself(tmp_path, minilm) -> None:
    open_to_write(tmp_path).close()
    with chromadb.PersistentClient(str(tmp_path)) as client:
        with pytest.raises(ConfigError, match="longembed reindex"):
            reindex(client, "documents", minilm)
        metadata = client.get_collection("documents", embedding_function=None).metadata
    assert {MIRROR_OF, GENERATION} <= metadata.keys()


def test_nothing_is_warned_of_by_default(tmp_path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with closing(open_to_write(tmp_path)) as store:
            store.write([record("a")])
