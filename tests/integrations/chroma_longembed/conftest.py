"""A real Chroma server, and each kind of client."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("chromadb")

import chromadb
import httpx

from chroma_longembed import LongEmbedEmbeddingFunction


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> LongEmbedEmbeddingFunction:
    """MiniLM with windows, as an embedding function."""
    return LongEmbedEmbeddingFunction(str(minilm_folder), "pcw")


@pytest.fixture(scope="session")
def server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real Chroma server on loopback, stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    program = "from chromadb.cli.cli import app; app()"
    command = [sys.executable, "-c", program, "run", "--path", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
        try:
            for _ in range(3000):
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=60)
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            else:
                pytest.fail("Chroma's server does not answer")
            yield port
        finally:
            process.terminate()
            process.wait(300)


@pytest.fixture(params=["in memory", "persistent", "over HTTP"])
def any_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[chromadb.ClientAPI]:
    """Each kind of Chroma client, empty."""
    if request.param == "over HTTP":
        client = chromadb.HttpClient("127.0.0.1", request.getfixturevalue("server_port"))
    elif request.param == "persistent":
        client = chromadb.PersistentClient(str(tmp_path / "chroma"))
    else:
        client = chromadb.EphemeralClient()
    delete_collections(client)
    yield client
    delete_collections(client)
    client.close()


def delete_collections(client: chromadb.ClientAPI) -> None:
    """Delete all collections: every in-memory client of a process has the same ones."""
    for collection in client.list_collections():
        client.delete_collection(collection.name)
