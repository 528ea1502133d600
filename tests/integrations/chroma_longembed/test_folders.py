from __future__ import annotations

import chromadb
import pytest
from longembed_index.opening import COLLECTION, kinds, open_store, read_provenance
from longembed_index.testing import MADE_BY, StoreKindTests, record

from chroma_longembed import LongEmbedEmbeddingFunction
from chroma_longembed.folders import ChromaFolders
from longembed_index.errors import StoreError
from longembed_st.errors import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function")


class TestChromaFolders(StoreKindTests):
    @pytest.fixture
    def kind(self) -> ChromaFolders:
        return ChromaFolders()


def test_it_is_found_by_its_entry_point() -> None:
    assert isinstance(kinds()["chroma"], ChromaFolders)


def test_the_settings_are_read_without_a_model(tmp_path, monkeypatch) -> None:
    with ChromaFolders().open(tmp_path, COLLECTION, MADE_BY):
        pass

    def load(*arguments):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("chroma_longembed.embedding_function.storable_model", load)
    found = read_provenance(tmp_path)
    assert found is not None
    assert (found.settings.method, found.fingerprint) == ("pcw", MADE_BY.fingerprint)


def test_the_device_of_one_machine_is_not_asked_of_the_next(minilm_folder, tmp_path) -> None:
    function = LongEmbedEmbeddingFunction(str(minilm_folder), device="cpu")
    with open_store(tmp_path, function.loaded, write=True):
        pass
    assert read_provenance(tmp_path).settings.device is None


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0" + b"junk" * 300, b"no database" * 400])
def test_a_damaged_database_is_a_one_line_error(tmp_path, data) -> None:
    (tmp_path / "chroma.sqlite3").write_bytes(data)
    if not data:
        # SQLite takes an empty file for an empty database.
        assert read_provenance(tmp_path) is None
        return
    with pytest.raises(StoreError, match="database") as caught:
        read_provenance(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_foreign_collection_in_the_store_is_refused(tmp_path) -> None:
    with chromadb.PersistentClient(str(tmp_path)) as client:
        client.create_collection(COLLECTION, embedding_function=None)
    with pytest.raises(ConfigError, match="not made by longembed"):
        read_provenance(tmp_path)


def test_chroma_errors_become_ours(tmp_path) -> None:
    with ChromaFolders().open(tmp_path, COLLECTION, MADE_BY) as store:
        store.write([record("a")])
        with pytest.raises(StoreError, match=r"cannot write the store: .*dimension"):
            store.write([record("b", 1, 2)])
