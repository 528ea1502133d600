"""Against a real Chroma server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys

import chromadb
import numpy as np
import pytest
from chroma_longembed.store import ChromaStore
from compare import cosine
from longembed_index.embedding import document_embedder
from longembed_index.ingestion import ingest
from longembed_index.searching import search
from longembed_index.sources import TextSource

import longembed_st as le
from chroma_longembed import open_collection

LONG = "The committee met on Tuesday.\n\tIt discussed the budget,  and the weather. " * 60


@pytest.fixture
def client(server_port):
    client = chromadb.HttpClient("127.0.0.1", server_port)
    yield client
    for collection in client.list_collections():
        client.delete_collection(collection.name)


def test_a_text_has_the_vector_of_the_core(client, minilm, minilm_folder) -> None:
    collection = open_collection(client, "papers", minilm)
    collection.add(ids=["long"], documents=[LONG])
    (stored,) = collection.get(ids=["long"], include=["embeddings"])["embeddings"]
    core = le.load(str(minilm_folder), "pcw")
    assert cosine(stored, core.encode_document(LONG)) > 0.999999
    found = collection.query(query_texts=["the budget"], n_results=1, include=["distances"])
    expected = 1 - cosine(core.encode_query("the budget"), core.encode_document(LONG))
    assert found["distances"][0][0] == pytest.approx(expected, abs=1e-5)


def test_an_ingestion_keeps_to_the_servers_batch_limit(client, minilm, monkeypatch) -> None:
    open_collection(client, "papers", minilm)
    store = ChromaStore(client, "papers")
    embed = document_embedder(minilm.loaded)
    assert store.max_batch == client.get_max_batch_size()
    monkeypatch.setattr(store, "max_batch", 2)
    texts = [TextSource(f"d{i}", f"document number {i}") for i in range(5)]
    assert ingest(texts, store, embed).counts["added"] == 5
    assert ingest(texts, store, embed).counts["unchanged"] == 5
    assert sorted(name for _, name in store.names()) == [f"d{i}" for i in range(5)]
    (vector,) = minilm.embed_query(["document number 3"])
    assert search(store, vector, 1)[0].source == "d3"


REOPEN = """
import json, sys
import chromadb
if sys.argv[3] == "ours":
    from chroma_longembed import LongEmbedEmbeddingFunction
if sys.argv[1] == "http":
    client = chromadb.HttpClient("127.0.0.1", int(sys.argv[2]))
else:
    client = chromadb.PersistentClient(sys.argv[2])
try:
    found = client.get_collection("papers").query(query_texts=["animals"], n_results=1)
    print(json.dumps(found["ids"]))
except Exception as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.parametrize("where", ["http", "folder"])
def test_a_collection_is_reopened_in_another_process(
    client, minilm, server_port, tmp_path, where
) -> None:
    place = str(server_port) if where == "http" else str(tmp_path)
    with client if where == "http" else chromadb.PersistentClient(place) as opened:
        collection = open_collection(opened, "papers", minilm)
        collection.add(ids=["pets", "rain"], documents=["cats and dogs", "heavy rain"])

    def reopened(how: str) -> object:
        command = [sys.executable, "-c", REOPEN, where, place, how]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(result.stdout.splitlines()[-1])

    assert reopened("ours") == [["pets"]]
    # Chroma alone says what is missing, and the vectors stay what they are.
    assert "longembed" in str(reopened("theirs"))


def test_nan_is_refused_before_the_server_sees_it(client, minilm, monkeypatch) -> None:
    collection = open_collection(client, "papers", minilm)
    broken = np.full((1, 384), np.nan, dtype=np.float32)
    monkeypatch.setattr(
        minilm.model, "encode_document", lambda texts, **keywords: broken, raising=False
    )
    with pytest.raises(le.ModelError, match="not finite"):
        collection.add(ids=["a"], documents=["some text"])
    assert collection.count() == 0
