from __future__ import annotations

import chromadb
import pytest

from chroma_longembed import LongEmbedEmbeddingFunction, open_collection
from chroma_longembed.collection import FINGERPRINT
from longembed_st.errors import ConfigError


@pytest.fixture
def client(tmp_path):
    with chromadb.PersistentClient(str(tmp_path / "chroma")) as client:
        yield client


def test_a_collection_is_created_with_the_fingerprint_of_its_vectors(client, minilm) -> None:
    collection = open_collection(client, "papers", minilm)
    assert collection.metadata[FINGERPRINT] == minilm.fingerprint
    assert collection.configuration_json["hnsw"]["space"] == "cosine"


def test_the_stored_settings_are_enough_to_open_it(any_client, minilm) -> None:
    open_collection(any_client, "papers", minilm).add(ids=["a"], documents=["cats and dogs"])
    collection = open_collection(any_client, "papers")
    assert collection.query(query_texts=["pets"], n_results=1)["ids"] == [["a"]]


def test_nothing_is_created_without_settings(client) -> None:
    with pytest.raises(ConfigError, match="no collection 'papers'"):
        open_collection(client, "papers")
    assert client.count_collections() == 0


def test_other_settings_are_refused_by_name(client, minilm, minilm_folder) -> None:
    before = open_collection(client, "papers", minilm)
    for settings, named in (
        ({"method": "pi"}, "method is 'pcw' in the store, 'pi' now"),
        ({"method": "pcw", "window_size": 64}, "window_size is 256 in the store, 64 now"),
        ({"method": "pcw", "truncate_dim": 64}, "truncate_dim is None in the store, 64 now"),
    ):
        other = LongEmbedEmbeddingFunction(str(minilm_folder), **settings)
        with pytest.raises(ConfigError, match=named) as caught:
            open_collection(client, "papers", other)
        assert "longembed reindex" in str(caught.value)
    after = client.get_collection("papers", embedding_function=None)
    assert after.metadata == before.metadata
    assert after.configuration_json == before.configuration_json


def test_settings_that_leave_vectors_as_they_are_are_let_in(client, minilm, minilm_folder) -> None:
    open_collection(client, "papers", minilm)
    other = LongEmbedEmbeddingFunction(
        str(minilm_folder), "pcw", device="cpu", on_overflow="error", token_budget=1000
    )
    open_collection(client, "papers", other)


def test_a_collection_of_somebody_else_is_refused(client, minilm) -> None:
    client.create_collection("papers", embedding_function=None)
    with pytest.raises(ConfigError, match="'papers' was not made by longembed"):
        open_collection(client, "papers", minilm)


def test_a_collection_that_chroma_made_with_our_function_is_known(client, minilm) -> None:
    client.create_collection("papers", embedding_function=minilm)
    open_collection(client, "papers", minilm)


def test_a_model_that_was_moved_is_found_again(client, minilm, minilm_folder, tmp_path) -> None:
    open_collection(client, "papers", minilm)
    moved = tmp_path / "moved"
    moved.symlink_to(minilm_folder)
    function = LongEmbedEmbeddingFunction(str(moved), "pcw")
    # Symbolic links are resolved; a copy is what has another name.
    assert function.get_config()["model_name"] == str(minilm_folder.resolve())
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in minilm_folder.iterdir():
        (copy / part.name).symlink_to(part)
    function = LongEmbedEmbeddingFunction(str(copy), "pcw")
    collection = open_collection(client, "papers", function)
    assert collection.metadata[FINGERPRINT] == minilm.fingerprint
    reopened = open_collection(client, "papers")
    assert reopened._embedding_function.get_config()["model_name"] == str(copy)
