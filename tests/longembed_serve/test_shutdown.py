"""The command as a process: where it listens, clients that are killed, and a signal to end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

TEXT = "The committee spoke of the harbour, of the orchard and of the railway. " * 200


@pytest.fixture
def process(store):
    """The server, and its address."""
    command = [sys.executable, "-m", "longembed_st", "serve", "--store", str(store), "--port", "0"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        lines = []
        for line in one.stderr:
            lines.append(line)
            if "Open http" in line:
                break
        assert one.poll() is None, "".join(lines)
        yield one, line.split()[-1].rstrip("/")
        one.kill()


def test_killed_clients_and_a_signal_cost_no_accepted_answer(process) -> None:
    server, address = process
    host, port = address.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    body = b'{"input": "%s"}' % TEXT.encode()
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    def ask(n: int) -> httpx.Response:
        with httpx.Client(base_url=address, timeout=300) as client:
            return client.post("/v1/embeddings", json={"input": f"{n} {TEXT}"})

    with ThreadPoolExecutor(8) as threads:
        begun = threads.submit(ask, 0)
        for cut in range(5):
            # Killed with half of the request sent, or while it waits for the answer.
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head + body[: len(body) // 2 if cut % 2 else len(body)])
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        assert begun.result().status_code == 200
        accepted = [threads.submit(ask, n) for n in range(1, 6)]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if httpx.get(f"{address}/healthz").json()["waiting"] >= 2:
                break
            time.sleep(0.02)
        server.send_signal(signal.SIGTERM)
        answers = [one.result() for one in accepted]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert all(len(answer.json()["data"][0]["embedding"]) == 384 for answer in answers)
    assert server.wait(300) in (0, -signal.SIGTERM)
    rest = server.stderr.read() + server.stdout.read()
    assert "committee" not in rest
    assert "Traceback" not in rest


def test_other_machines_need_a_key_or_leave(store, monkeypatch) -> None:
    from command_line import longembed

    monkeypatch.delenv("LONGEMBED_API_KEY", raising=False)
    ended = longembed("serve", "--store", store, "--host", "0.0.0.0")
    assert ended.exit_code == 1
    assert "set LONGEMBED_API_KEY, or say --without-key" in " ".join(ended.stderr.split())


def test_a_store_that_is_not_there_is_said(tmp_path) -> None:
    from command_line import longembed

    ended = longembed("serve", "--store", tmp_path / "none")
    assert ended.exit_code == 1
    assert "there is no index" in ended.stderr
