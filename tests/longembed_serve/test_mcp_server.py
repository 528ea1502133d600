"""The tools for agents, called by the protocol's own client: in one process, and over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

pytest.importorskip("mcp")

import httpx2
from index_fakes import use_fake_models
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from serving import running

from longembed_index import Document, Index
from longembed_serve.application import application
from longembed_serve.mcp_server import mcp_server
from longembed_serve.service import Service

TEXTS = {
    "harbour": "The widow of a captain paid for the new crane of the harbour.",
    "orchard": "The oldest pear tree of the orchard was planted in a great frost.",
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module", autouse=True)
def fake_models():
    with pytest.MonkeyPatch.context() as patch:
        yield use_fake_models(patch)


@pytest.fixture
def index(tmp_path, fake_models):
    with Index.open(tmp_path / "store", model="fake") as index:
        index.add_documents([Document(name, text, {"year": 2019}) for name, text in TEXTS.items()])
        yield index


@pytest.fixture
def serve(index):
    """Serves the store by HTTP; ends the index, too."""

    def served(key=None, hosts=("localhost", "127.0.0.1"), max_bytes=100_000):
        return running(application(Service(index), max_bytes=max_bytes, key=key, hosts=hosts))

    return served


async def test_each_tool_says_what_it_takes_and_returns(index) -> None:
    async with Client(mcp_server(index)) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == ["get_context", "search", "get_document", "list_documents"]
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert tool.input_schema["additionalProperties"] is False
        assert all(
            "description" in field for name, field in tool.input_schema["properties"].items()
        )
        assert tool.input_schema["properties"]["max_words"]["minimum"] == 50
        assert tool.output_schema["properties"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_answer_over_http(serve, mode) -> None:
    with serve() as address:
        async with Client(f"{address}/mcp", mode=mode) as client:
            # The client checks each result against the schema of the tool.
            await client.list_tools()
            found = await client.call_tool("search", {"query": "who paid for the crane?", "k": 1})
            context = await client.call_tool("get_context", {"question": "the pear tree"})
            document = await client.call_tool("get_document", {"source": "harbour"})
            listed = await client.call_tool("list_documents", {"where": {"year": 2019}})
    assert found.structured_content["hits"][0]["source"] == "harbour"
    assert found.structured_content == json.loads(found.content[0].text)
    assert "pear tree" in context.structured_content["text"]
    assert document.structured_content["parts"] == [{"start": 0, "text": TEXTS["harbour"]}]
    assert listed.structured_content["total"] == 2


async def test_the_key_of_the_server_is_asked_for(serve) -> None:
    with serve(key="secret") as address:
        assert httpx.post(f"{address}/mcp", json=INITIALIZE, headers=ACCEPT).status_code == 401
        headers = {"authorization": "Bearer secret"}
        async with (
            httpx2.AsyncClient(headers=headers) as http,
            Client(streamable_http_client(f"{address}/mcp", http_client=http)) as client,
        ):
            listed = await client.call_tool("list_documents", {})
    assert listed.structured_content["total"] == 2


def test_names_and_origins_of_others_and_large_bodies_are_refused(serve) -> None:
    with serve() as address:
        port = address.rsplit(":", 1)[1]

        def status(max_bytes: int = 0, **headers: str) -> int:
            body = json.dumps(INITIALIZE) + " " * max_bytes
            headers = {**ACCEPT, "content-type": "application/json", **headers}
            return httpx.post(f"{address}/mcp", content=body, headers=headers).status_code

        assert status() == 200
        assert status(host=f"localhost:{port}", origin=f"http://localhost:{port}") == 200
        assert status(host="evil.example") == 400
        assert status(origin="https://evil.example") == 403
        assert status(max_bytes=200_000) == 413


def test_a_server_for_all_names_answers_to_all(serve) -> None:
    with serve(key="secret", hosts=["*"]) as address:
        headers = {**ACCEPT, "host": "reports.example", "authorization": "Bearer secret"}
        answer = httpx.post(f"{address}/mcp", json=INITIALIZE, headers=headers)
    assert answer.json()["result"]["serverInfo"]["name"] == "longembed"


WRONG = [
    ("search", {}, "query: Field required"),
    ("search", {"query": ""}, "the query is blank"),
    ("search", {"query": ["a"]}, "query: Input should be a valid string"),
    ("search", {"query": "a" * 10_001}, "at most 10000 characters"),
    ("search", {"query": "a", "k": 0}, "k: Input should be greater than or equal to 1, not 0"),
    ("search", {"query": "a", "k": 10**30}, "k: Input should be less than or equal to 100"),
    ("search", {"query": "a", "k": True}, "k: Input should be a valid integer, not True"),
    ("search", {"query": "a", "filter": {"year": 2019}}, "filter: Extra inputs"),
    ("search", {"query": "a", "where": "year=2019"}, "where: Input should be a valid dictionary"),
    ("search", {"query": "a", "where": {"year": {"$gt": 1}}}, "the filter of 'year' has $gt"),
    ("get_context", {"question": "a", "max_words": 10**9}, "max_words"),
    ("get_document", {"source": "/etc/passwd"}, "there is no document '/etc/passwd'"),
    ("get_document", {"source": "harbour", "first_page": 1}, "pages of this document"),
    ("get_document", {"source": "harbour", "start": -5}, "start"),
    ("list_documents", {"where": [1]}, "where"),
]


async def test_wrong_arguments_become_errors_that_name_them(index) -> None:
    async with Client(mcp_server(index)) as client:
        for tool, arguments, reason in WRONG:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, (tool, arguments)
            assert reason in result.content[0].text
            assert len(result.content[0].text) < 500
        with pytest.raises(MCPError, match="there is no tool 'delete'"):
            await client.call_tool("delete", {})
        listed = await client.call_tool("list_documents", {})
    assert listed.structured_content["total"] == 2


async def test_nulls_and_objects_as_text_are_understood(index) -> None:
    arguments = {"query": "crane", "k": None, "where": '{"year": {"gte": 2019}}'}
    async with Client(mcp_server(index)) as client:
        result = await client.call_tool("search", arguments)
    assert not result.is_error
    assert result.structured_content["hits"][0]["source"] == "harbour"


async def test_errors_of_the_store_and_of_ours_are_told_and_survived(
    index, monkeypatch, caplog
) -> None:
    async with Client(mcp_server(index)) as client:
        with monkeypatch.context() as broken:
            broken.setattr(Index, "record", lambda *arguments: 1 / 0)
            result = await client.call_tool("get_document", {"source": "harbour"})
        assert result.is_error
        assert result.content[0].text.startswith("ZeroDivisionError. This is an error of")
        assert "a tool for agents failed" in caplog.text
        assert not (await client.call_tool("get_document", {"source": "harbour"})).is_error
        index.close()
        result = await client.call_tool("search", {"query": "crane"})
        assert result.is_error
        assert "is closed" in result.content[0].text
