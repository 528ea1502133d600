"""Files of every format, and a store in memory, for the tests of the Chroma integration."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("chromadb")
pytest.importorskip("markitdown")

import chromadb
import httpx

from chroma_longembed import LongEmbedEmbeddingFunction
from chroma_longembed.records import Record


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
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
        try:
            for _ in range(300):
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    httpx.get(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=1)
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(params=["in memory", "persistent", "over HTTP"])
def any_client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[chromadb.ClientAPI]:
    """Each kind of Chroma client, empty."""
    if request.param == "over HTTP":
        client = chromadb.HttpClient("127.0.0.1", request.getfixturevalue("server_port"))
    elif request.param == "persistent":
        client = chromadb.PersistentClient(str(tmp_path / "chroma"))
    else:
        client = chromadb.EphemeralClient()
    yield client
    for collection in client.list_collections():
        client.delete_collection(collection.name)
    client.close()


@pytest.fixture(scope="session")
def make_pdf() -> Callable[[str], bytes]:
    """Makes a PDF of one page with one line of text."""

    def make(line: str) -> bytes:
        stream = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET".encode("latin-1")
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
        out = io.BytesIO(b"%PDF-1.4\n")
        out.seek(0, io.SEEK_END)
        offsets = []
        for number, body in enumerate(objects, 1):
            offsets.append(out.tell())
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        table = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
        out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
        out.write(
            b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
            % (len(objects) + 1, table)
        )
        return out.getvalue()

    return make


@pytest.fixture(scope="session")
def make_docx() -> Callable[[str], bytes]:
    """Makes a Word document of one paragraph."""

    def make(paragraph: str) -> bytes:
        parts = {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="rels" ContentType="application/vnd.'
            'openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
            'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.'
            'main+xml"/></Types>',
            "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
            'relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/'
            'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
            "</Relationships>",
            "word/document.xml": '<w:document xmlns:w="http://schemas.openxmlformats.org/'
            f'wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{paragraph}</w:t></w:r></w:p>'
            "</w:body></w:document>",
        }
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, text in parts.items():
                archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
        return out.getvalue()

    return make


class MemoryStore:
    """A store in memory that counts what is done to it."""

    def __init__(self, max_batch: int = 100) -> None:
        self.max_batch = max_batch
        self.records: dict[str, Record] = {}
        self.writes: list[int] = []
        self.fail_after: float = float("inf")

    def names(self) -> Iterator[tuple[str, str]]:
        return iter([(key, str(r.metadata["source"])) for key, r in self.records.items()])

    def write(self, records: Sequence[Record]) -> None:
        assert 0 < len(records) <= self.max_batch
        if len(self.writes) >= self.fail_after:
            raise KeyboardInterrupt
        self.writes.append(len(records))
        self.records.update({record.id: record for record in records})

    def delete(self, ids: Sequence[str]) -> None:
        assert len(ids) <= self.max_batch
        for key in ids:
            del self.records[key]

    def texts(self) -> dict[str, str]:
        """The text of each document, by name."""
        pairs: Iterable[tuple[str, str]] = (
            (str(r.metadata["source"]), r.text) for r in self.records.values()
        )
        return dict(pairs)


@pytest.fixture
def memory_store() -> Callable[..., MemoryStore]:
    """Makes a store in memory."""
    return MemoryStore
