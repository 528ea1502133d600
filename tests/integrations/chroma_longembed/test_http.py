"""Against a real Chroma server on loopback."""

from __future__ import annotations

import json
import subprocess
import sys

import chromadb
import pytest
from compare import cosine

import longembed_st as le
from chroma_longembed import open_collection
from longembed_index.store import kinds
from longembed_index.store.conformance import INFO, record
from longembed_st.errors import ConfigError

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


def test_a_store_is_mirrored_on_a_server(client, server_port, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path))
    address = kinds.parse_address(f"chroma:http://127.0.0.1:{server_port}")
    store = kinds.open_store(address.directory, kind="chroma", create=INFO, write=True)
    store.write([record("a", year=2019), record("b")])
    store.close()
    collection = client.get_collection("documents", embedding_function=None)
    assert collection.get(where={"year": 2019})["ids"] == ["a"]
    kind = kinds.find_kind(address.directory)
    assert kind.address(address.directory) == address.url
    assert len(kinds.open_store(address.directory)) == 2
    # Another machine has another stand-in, and must not write over this mirror.
    monkeypatch.setenv("LONGEMBED_CACHE", str(tmp_path / "other"))
    other = kinds.parse_address(f"chroma:http://127.0.0.1:{server_port}")
    with pytest.raises(ConfigError, match="does not mirror this store"):
        kinds.open_store(other.directory, kind="chroma", create=INFO, write=True)


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
