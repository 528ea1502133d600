"""Requests that nobody should send: each is refused, and the server lives."""

from __future__ import annotations

import json
import random
import select
import socket
from contextlib import suppress

import pytest

PATHS = ("/v1/embeddings", "/search", "/document", "/v1/rerank")
GOOD = {
    "/v1/embeddings": {"input": "a"},
    "/search": {"query": "a"},
    "/document": {"source": "a"},
    "/v1/rerank": {"query": "a", "documents": ["a"]},
}
NONSENSE = [None, True, -1, 10**30, 1e308, "", "\x00", "\ud800", [], {}, [None], {"$gt": ""}]


def contents_of(client) -> list[dict]:
    """What the store says to be in it."""
    found = client.post("/search", json={"query": "the council spoke", "k": 9, "mode": "dense"})
    return found.json()["hits"]


def cases() -> list[tuple[str, bytes]]:
    """Requests with one field replaced, left out, or added, and bodies that are not JSON."""
    requests = [
        (path, json.dumps({**body, name: value}).encode())
        for path, body in GOOD.items()
        for name in body
        for value in NONSENSE
    ]
    bodies = [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"input": ' * 5_000,
        b'{"input": "\xff"}',
        b"null",
        b"[]",
    ]
    bodies += [b'{"query": Infinity}', b'{"k": "many", "mode": 3}', random.Random(0).randbytes(200)]
    return requests + [(path, body) for path in PATHS for body in bodies]


def test_every_one_is_refused_with_a_reason_and_nothing_changes(client) -> None:
    before = contents_of(client)
    answered = 0
    requests = cases()
    for path, body in requests:
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        if answer.status_code == 200:
            # A strange text is a text.
            answered += 1
            continue
        assert 400 <= answer.status_code < 500, (path, body[:80], answer.text)
        assert answer.json()["error"]["message"], (path, body[:80])
        assert "/etc/" not in answer.text or b"/etc/" in body
    assert answered < len(requests) / 3
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        for path in PATHS:
            assert 400 <= client.request(method, path).status_code < 500
    for path in ("/../etc/passwd", "/%2e%2e/x", "/page.js/..%2f..", "/static/x", "/\u00e9"):
        assert client.get(path).status_code in (400, 404)
    assert client.get("/healthz").json()["documents"] == 3
    assert contents_of(client) == before


HEAD = b"POST /search HTTP/1.1\r\nHost: localhost\r\n"


def test_tricks_with_headers(client, server) -> None:
    host, port = server[0].removeprefix("http://").split(":")
    for raw in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n",
        HEAD + b"Content-Length: 99999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        HEAD + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"SEARCH",
    ):
        with socket.create_connection((host, int(port)), timeout=120) as connection:
            connection.sendall(raw)
            answer = b""
            # A server may have had enough, and be gone.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer += part
        assert b" 200 " not in answer.split(b"\r\n", 1)[0], raw[:80]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(("path", "is_chunked"), [("/v1/embeddings", True), ("/search", False)])
def test_a_hundred_megabytes_are_refused_before_they_are_read(
    client, server, path, is_chunked
) -> None:
    megabyte = b"a" * 1_000_000
    part = b"%x\r\n%s\r\n" % (len(megabyte), megabyte) if is_chunked else megabyte
    framing = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 100000000"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"
    host, port = server[0].removeprefix("http://").split(":")
    sent, answer = 0, b""
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        with suppress(OSError):
            connection.sendall(head.encode())
            while sent < 100 and not select.select([connection], [], [], 0.05)[0]:
                connection.sendall(part)
                sent += 1
        answer = connection.recv(65536)
    assert b" 413 " in answer.split(b"\r\n", 1)[0]
    assert sent < 30
    assert client.get("/healthz").status_code == 200
