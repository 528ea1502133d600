"""Chroma passes the tests of every store, over each kind of client."""

from __future__ import annotations

import pytest
from chroma_longembed.store import ChromaStore
from longembed_index.testing import MADE_ANEW, MADE_BY, StoreTests, record

from chroma_longembed.collection import create_collection

# Chroma looks for the model of a collection that is written to; here there is none.
pytestmark = pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function")


class TestChromaStore(StoreTests):
    @pytest.fixture(autouse=True)
    def client(self, any_client):
        self.client = any_client
        return any_client

    @pytest.fixture
    def store(self, client) -> ChromaStore:
        create_collection(client, "documents", MADE_BY)
        return ChromaStore(client, "documents")

    def reopened(self, store: ChromaStore) -> ChromaStore:
        return ChromaStore(self.client, "documents")

    def add_foreign(self, store: ChromaStore, record_id: str, vector: list[float]) -> None:
        collection = self.client.get_collection("documents", embedding_function=None)
        collection.add(ids=[record_id], embeddings=[vector])

    def test_names_are_read_page_by_page(self, store, monkeypatch) -> None:
        monkeypatch.setattr("chroma_longembed.store._PAGE", 2)
        store.write([record(key) for key in "abcde"])
        assert sorted(key for key, _ in store.names()) == list("abcde")

    def test_collections_that_are_made_are_of_our_embedding_function(self, store, client) -> None:
        store.stage(MADE_ANEW)
        for name, made in (("documents", MADE_BY), ("documents.reindexing", MADE_ANEW)):
            collection = client.get_collection(name, embedding_function=None)
            function = collection.configuration_json["embedding_function"]
            assert (function["type"], function["name"]) == ("known", "longembed")
            assert function["config"] == made.to_dict()
            assert collection.configuration_json["hnsw"]["space"] == "cosine"
