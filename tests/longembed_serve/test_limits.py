"""Requests that are too long or too slow, and clients that leave."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

pytest.importorskip("fastapi")

from serving import FakeIndex, running

from longembed_serve import limits, protocol
from longembed_serve.application import application
from longembed_serve.protocol import TimedProtocol
from longembed_serve.service import Service


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    index = FakeIndex()
    yield index
    index.may.set()


@contextmanager
def serving(
    index: FakeIndex, *, max_bytes: int = 1_000_000, key: str | None = None, grace: int = 60
) -> Iterator[str]:
    """The address of a server over an index."""
    app = application(Service(index), max_bytes=max_bytes, key=key, hosts=["localhost"])
    with running(app, grace=grace) as address:
        yield address.replace("127.0.0.1", "localhost")


def search(address: str, query: str, **more) -> httpx.Response:
    return httpx.post(f"{address}/search", json={"query": query}, timeout=60, **more)


def connect(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port), timeout=60)


def request(path: str, body: bytes, length: int | None = None) -> bytes:
    """A request as it is sent, perhaps with more body announced than there is."""
    length = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + body


def received(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_a_client_that_sends_all_before_it_reads_sees_why_it_was_refused(index):
    for key, status in ((None, 413), ("secret", 401)):
        with serving(index, key=key) as address:
            place = urlsplit(address)
            for body in (b"x" * 20_000_000, iter([b"x" * 1_000_000] * 20)):
                connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
                connection.request("POST", "/search", body=body)
                answer = connection.getresponse()
                assert answer.status == status
                assert json.loads(answer.read())["error"]["message"]
                connection.close()


def test_a_body_that_never_comes_has_an_end(index, monkeypatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(limits, "_DRAINED_SECONDS", 0.2)
    with serving(index) as address, connect(address) as connection:
        connection.sendall(request("/search", b"{", length=100))
        assert b" 408 " in received(connection).split(b"\r\n")[0]


def test_headers_that_never_come_have_an_end(index, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    with serving(index) as address:
        for beginning in (b"", b"POST /search HTT"):
            with connect(address) as connection:
                connection.sendall(beginning)
                # Either end is right.
                with suppress(ConnectionResetError):
                    assert received(connection) == b""


def test_an_answer_that_nobody_reads_is_not_kept(index, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "READER_SECONDS", 0.2)
    monkeypatch.setattr(Service, "search", lambda self, body: "x" * 50_000_000)
    lost, connection_lost = threading.Event(), TimedProtocol.connection_lost

    def note(connection: TimedProtocol, error: Exception | None) -> None:
        connection_lost(connection, error)
        lost.set()

    monkeypatch.setattr(TimedProtocol, "connection_lost", note)
    with serving(index) as address, connect(address) as connection:
        connection.sendall(request("/search", b'{"query": "a"}'))
        assert lost.wait(60)


def test_many_long_bodies_at_once_are_refused(index, monkeypatch) -> None:
    monkeypatch.setattr(limits, "BODIES_AT_ONCE", 2)
    with serving(index) as address, ThreadPoolExecutor(2) as threads:
        index.may.clear()

        def ask(query: str) -> httpx.Response:
            body = {"query": query, "where": {"title": "x" * 900_000}}
            return httpx.post(f"{address}/search", json=body, timeout=60)

        held = [threads.submit(ask, "held") for _ in range(2)]
        while len(index.searched) < 2:
            assert not any(future.done() for future in held)
        refused = ask("refused")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        index.may.set()
        assert [future.result().status_code for future in held] == [200, 200]
        assert ask("again").status_code == 200


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(index) -> None:
    with serving(index, max_bytes=20_000_000) as address:
        for values, status in (
            ([[]] * 600_000, 400),
            ([1] * 600_000, 400),
            (["ab"] * 200_000, 400),
            (['a "[]" \\ ' * 60_000] * 5, 200),
        ):
            answer = httpx.post(f"{address}/v1/embeddings", json={"input": values}, timeout=60)
            assert answer.status_code == status
            assert ("too many values" in answer.text) == (status == 400)


def test_searches_of_clients_that_left_are_not_run_and_nothing_is_logged(index, caplog) -> None:
    def waiting() -> int:
        return httpx.get(f"{address}/healthz", timeout=60).json()["waiting"]

    with serving(index) as address:
        index.may.clear()
        connections = [connect(address) for _ in range(40)]
        for number, connection in enumerate(connections):
            connection.sendall(request("/search", b'{"query": "%d"}' % number))
        while waiting() + len(index.searched) < 40:
            pass
        begun = len(index.searched)
        for connection in connections:
            connection.close()
        while waiting():
            pass
        index.may.set()
        assert search(address, "last").status_code == 200
        assert len(index.searched) == begun + 1 < 40
    gc.collect()
    assert not [record for record in caplog.records if record.name.startswith(("asy", "uvi"))]


def test_a_slow_search_does_not_keep_quick_ones_waiting(index, monkeypatch) -> None:
    long = "x" * 9_000
    answer = index.search
    monkeypatch.setattr(
        index, "search", lambda query, k, **options: answer(query, k) if query == long else []
    )
    with serving(index) as address, ThreadPoolExecutor(4) as threads:
        index.may.clear()
        slow = [threads.submit(search, address, long) for _ in range(4)]
        assert index.begun.wait(60)
        assert search(address, "a").status_code == 200
        assert not any(future.done() for future in slow)
        index.may.set()
        assert {future.result().status_code for future in slow} == {200}


def test_the_stop_does_not_wait_for_ever(index) -> None:
    """Neither a search that does not end nor a body that does not come holds it up."""
    with ThreadPoolExecutor(1) as threads:
        with serving(index, grace=1) as address, connect(address) as bodiless:
            index.may.clear()
            bodiless.sendall(request("/search", b"{", length=100))
            stuck = threads.submit(search, address, "a")
            assert index.begun.wait(60)
        # The server has ended, and the search has not.
        answer = stuck.result()
        assert answer.status_code == 503
        assert answer.json()["error"]["message"] == "the server stops"


def test_the_stop_lets_a_search_end(index) -> None:
    with ThreadPoolExecutor(1) as threads:
        with serving(index, grace=60) as address:
            index.may.clear()
            begun = threads.submit(search, address, "a")
            assert index.begun.wait(60)
            threading.Timer(0.3, index.may.set).start()
        assert begun.result().status_code == 200
