"""The command as a client starts it: over standard input and output, without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp")

from command_line import longembed
from index_fakes import use_fake_models
from mcp import Client, StdioServerParameters

from longembed_index import Document, Index

FAKE = """
import sys
from index_fakes import FakeModel, use_fake_models
use_fake_models()
vectors = FakeModel.encode_query_twice
def encode_and_print(self, text):
    print("not of the protocol", flush=True)
    return vectors(self, text)
FakeModel.encode_query_twice = encode_and_print
from longembed_st.command.app import run
sys.exit(run(sys.argv[1:]))
"""
"""The command with a model that costs nothing and prints to standard output."""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    use_fake_models(monkeypatch)
    with Index.open(tmp_path / "store", model="fake") as index:
        text = "The captain paid for the crane.\fIt is new."
        index.add_documents([Document("harbour", text, {"half a character": "\ud83d"})])
    return tmp_path / "store"


def command(store: Path) -> StdioServerParameters:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    arguments = ["-c", FAKE, "mcp", "--store", str(store)]
    return StdioServerParameters(command=sys.executable, args=arguments, env=environment)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_searches_while_others_write_and_after_the_store_is_gone(
    place, mode
) -> None:
    async with Client(command(place), mode=mode) as client:
        found = await client.call_tool("search", {"query": "who paid for the crane?"})
        (hit,) = found.structured_content["hits"]
        assert hit["passages"][0]["page"] == 1
        assert hit["metadata"] == {"half a character": "?"}
        with Index.open(place) as writer:
            writer.add_documents([Document("mill", "The miller paid for the wheel.")])
        context = await client.call_tool("get_context", {"question": "who paid for the wheel?"})
        assert "The miller paid" in context.structured_content["text"]
        wrong = await client.call_tool("search", {"query": "wheel", "k": -1})
        assert wrong.is_error
        shutil.rmtree(place)
        gone = await client.call_tool("list_documents", {})
        assert gone.is_error
        assert "was deleted while it was open" in gone.content[0].text
        # The process lives: it still says what it can do.
        assert len((await client.list_tools()).tools) == 4


def test_only_the_protocol_is_on_standard_output_whatever_comes_in(place) -> None:
    def message(number: int, method: str, **params: object) -> bytes:
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return json.dumps(body).encode() + b"\n"

    client = {"name": "test", "version": "1"}
    sent = [
        b"not JSON\n",
        b"\xff\xfe\x00\n",
        b"[" * 100_000 + b"\n",
        message(1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client),
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n',
        message(2, "no/such/method"),
        message(3, "tools/call", name="search", arguments=["crane"]),
        b'{"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "search", '
        b'"arguments": {"query": "half of a character \\ud83d"}}}\n',
        message(5, "tools/call", name="search", arguments={"query": "who paid for the crane?"}),
    ]
    start = command(place)
    with subprocess.Popen(
        [start.command, *start.args],
        env=start.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdin.write(b"".join(sent))
        process.stdin.flush()
        answers = {}
        while 5 not in answers:
            # Raises if a line is not of the protocol.
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
        rest, messages = process.communicate(timeout=120)
    assert rest == b""
    assert b"not of the protocol" in messages
    assert {"error"} <= answers[2].keys() & answers[3].keys()
    assert answers[5]["result"]["structuredContent"]["hits"][0]["source"] == "harbour"
    assert process.returncode == 0


def test_a_store_that_is_not_there_ends_the_command_with_the_reason(tmp_path) -> None:
    ended = longembed("mcp", "--store", tmp_path / "none")
    assert ended.exit_code == 1
    assert "there is no index" in ended.stderr
    assert ended.stdout == ""
