"""The page and the skill about agents name the tools and arguments that there are."""

from __future__ import annotations

import json
import re

import pytest
import typer
from docs_snippets import ROOT, page_blocks

pytest.importorskip("mcp")

from mcp import Client

from longembed_serve.mcp_command import mcp
from longembed_serve.mcp_schemas import ContextResult
from longembed_serve.mcp_server import mcp_server

PAGE = (ROOT / "docs" / "MCP.md").read_text("utf8")
SKILL = (ROOT / "examples" / "skills" / "search-documents" / "SKILL.md").read_text("utf8")
JSON = [b.code for b in page_blocks() if b.page == "MCP.md" and b.language == "json"]


@pytest.fixture
async def tools() -> dict[str, dict]:
    """The arguments and the fields of the result of each tool, by name."""
    async with Client(mcp_server(None)) as client:
        return {
            tool.name: {
                "arguments": tool.input_schema["properties"],
                "result": json.dumps(tool.output_schema),
            }
            for tool in (await client.list_tools()).tools
        }


async def test_the_table_has_every_tool_with_its_arguments(tools) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.MULTILINE)
    named = {name: {*re.findall(r"`(\w+)`", arguments), "max_words"} for name, arguments in rows}
    assert named == {name: set(tool["arguments"]) for name, tool in tools.items()}


async def test_the_skill_names_what_there_is(tools) -> None:
    words = set(re.findall(r"`([a-z]+_[a-z_]+|search)\b", SKILL))
    known = " ".join([*tools, *(tool["result"] for tool in tools.values())])
    known += " ".join(name for tool in tools.values() for name in tool["arguments"])
    assert words >= set(tools)
    assert all(re.search(rf"\b{word}\b", known) for word in words), words
    assert re.match(r"---\nname: search-documents\ndescription: .{50,1000}\n---\n", SKILL)


def test_the_example_of_a_result_is_one() -> None:
    example = json.loads(JSON[-1])
    assert ContextResult.model_validate(example).plain() == example


def test_the_lines_for_clients_start_the_command() -> None:
    app = typer.Typer()
    app.command("mcp")(mcp)
    app.callback()(lambda: None)
    command = typer.main.get_command(app).commands["mcp"]
    for code in JSON[:-1]:
        (servers,) = json.loads(code).values()
        name, *options = servers["reports"]["args"]
        assert name == "mcp"
        command.make_context("mcp", options)
