"""Files that the server hands out: those that the store has read, as they were read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")

from index_fakes import use_fake_models
from pdf_files import at, pdf_of
from serving import running

from longembed_index import Document, Index
from longembed_serve.application import application
from longembed_serve.service import Service

MAIL = "From: a@example.org\nSubject: The budget\n\nThe council approved the budget.\n"
FILES = {
    "contract.pdf": pdf_of(at(72, 700, "The first page."), at(72, 700, "The budget was approved.")),
    "page.html": b"<p>The harbour was closed.</p><script>alert(1)</script>",
    "notes.md": "# Notes\n\nThe ship is called Żółw.".encode(),
    "letter.eml": MAIL.encode(),
    'a "name"; Ω.txt': b"A file with a strange name.",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def index(place) -> Iterator[Index]:
    docs = place / "docs"
    docs.mkdir()
    for name, content in FILES.items():
        (docs / name).write_bytes(content)
    (place / "secret.txt").write_text("The password.")
    with pytest.MonkeyPatch.context() as patch:
        use_fake_models(patch)
        with Index.open(place / "store", "some/one") as index:
            assert index.add(docs).counts["added"] == len(FILES)
            # Whoever may add documents chooses their ids, and must not get at files by them.
            index.add_documents(
                [Document(str(place / "secret.txt"), "Its text."), Document("letter", "Dear Ann")]
            )
            yield index


@pytest.fixture(scope="module")
def client(index) -> Iterator[httpx.Client]:
    app = application(Service(index, serve_files=True), max_bytes=10_000, key="secret", hosts=["*"])
    headers = {"authorization": "Bearer secret"}
    with running(app) as address, httpx.Client(base_url=address, headers=headers) as client:
        yield client


def test_files_come_as_they_are_and_are_never_web_pages(client, place) -> None:
    text = "text/plain; charset=utf-8"
    for name, kind, disposition in (
        ("contract.pdf", "application/pdf", "inline"),
        ("page.html", text, "inline"),
        ("notes.md", text, "inline"),
        ('a "name"; Ω.txt', text, "inline"),
        ("letter.eml", "application/octet-stream", "attachment"),
    ):
        answer = client.get("/file", params={"source": str(place / "docs" / name)})
        assert (answer.status_code, answer.content) == (200, FILES[name])
        headers = answer.headers
        assert headers["content-type"] == kind
        assert headers["content-disposition"].startswith(f"{disposition}; filename*=utf-8''")
        assert headers["x-content-type-options"] == "nosniff"
        (policy,) = headers.get_list("content-security-policy")
        assert policy.startswith("default-src 'none'")
        assert ("sandbox" in policy) == (name != "contract.pdf")
        assert "script-src" not in policy


def test_nothing_else_is_handed_out(client, place) -> None:
    docs = place / "docs"
    (place / "unread.txt").write_text("Not in the index.")
    sources = [
        str(place / "secret.txt"),
        str(place / "unread.txt"),
        str(docs / ".." / "secret.txt"),
        f"{docs}/./notes.md",
        f"file://{docs}/notes.md",
        "docs/notes.md",
        "letter",
        "/etc/passwd",
        f"{docs}/notes.md\0",
        str(docs),
        "",
    ]
    for source in sources:
        answer = client.get("/file", params={"source": source})
        assert answer.status_code == 404, source
        assert "password" not in answer.text
    assert client.get("/file").status_code == 400
    assert client.get("/file", params={"source": "a" * 20_001}).status_code == 400
    assert client.get("/file/../../secret.txt").status_code == 404
    unknown = {"authorization": "Bearer wrong"}
    right = {"source": str(docs / "notes.md")}
    assert client.get("/file", params=right, headers=unknown).status_code == 401


def test_a_file_that_has_changed_or_is_gone_is_not_handed_out(client, place) -> None:
    path = place / "docs" / "notes.md"
    try:
        path.write_text("Something else that was never indexed.")
        answer = client.get("/file", params={"source": str(path)})
        assert answer.status_code == 404
        assert "has changed" in answer.json()["error"]["message"]
        path.unlink()
        path.symlink_to(place / "secret.txt")
        assert client.get("/file", params={"source": str(path)}).status_code == 404
        path.unlink()
        assert client.get("/file", params={"source": str(path)}).status_code == 404
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(FILES["notes.md"])


def test_without_the_option_there_are_no_files(index, place) -> None:
    app = application(Service(index), max_bytes=10_000, key=None, hosts=["*"])
    with running(app) as address:
        source = {"source": str(place / "docs" / "notes.md")}
        assert httpx.get(f"{address}/file", params=source).status_code == 404
