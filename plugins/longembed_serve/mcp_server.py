"""The tools for agents, offered by the Model Context Protocol over standard input or HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import ValidationError

from longembed_serve import mcp_schemas, mcp_tools
from longembed_st.errors import LongEmbedError

if TYPE_CHECKING:
    from longembed_index.index import Index

INSTRUCTIONS = """\
These tools search and read the user's own documents. Use them when an answer may be in those \
documents; the documents come before what you remember.
- To answer a question: get_context. Ask in plain words; ask again in other words if is_answered \
is false, and then say that the documents do not tell.
- To find documents: search. To see what there is: list_documents.
- To read on, or when a passage is not enough (tables, lists, "in total"): get_document with the \
pages around it.
- Cite title and page. What left_out or not_shown names was not read: say so if it matters."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Tool:
    """A tool: what it takes and returns, and what it does."""

    title: str
    arguments: type[mcp_schemas.Arguments]
    result: type[mcp_schemas.Result]
    run: Callable[[Index, Any], mcp_schemas.Result]


_TOOLS: Mapping[str, _Tool] = {
    "get_context": _Tool(
        "Passages that answer a question",
        mcp_schemas.ContextArguments,
        mcp_schemas.ContextResult,
        mcp_tools.get_context,
    ),
    "search": _Tool(
        "Search documents", mcp_schemas.SearchArguments, mcp_schemas.SearchResult, mcp_tools.search
    ),
    "get_document": _Tool(
        "Read a document",
        mcp_schemas.DocumentArguments,
        mcp_schemas.DocumentResult,
        mcp_tools.get_document,
    ),
    "list_documents": _Tool(
        "List documents",
        mcp_schemas.ListArguments,
        mcp_schemas.ListResult,
        mcp_tools.list_documents,
    ),
}


OnCall = Callable[[str], None]
"""Called with the name of each tool that is called."""


def mcp_server(index: Index, on_call: OnCall | None = None) -> Server[Any]:
    """Return a server of the protocol whose tools read an index."""

    async def list_tools(context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_described(name, tool) for name, tool in _TOOLS.items()])

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        tool = _TOOLS.get(params.name)
        if tool is None:
            names = ", ".join(_TOOLS)
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name!r}. There are {names}")
        if on_call is not None:
            on_call(params.name)
        return await asyncio.to_thread(_call, tool, index, params.arguments or {})

    return Server(
        "longembed",
        version=version("longembed-st"),
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(index: Index) -> None:
    """Serve one client over standard input and output, until the input ends."""
    server = mcp_server(index)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def http_sessions(
    index: Index, hosts: Sequence[str], max_bytes: int, on_call: OnCall | None = None
) -> StreamableHTTPSessionManager:
    """Return what answers the requests of clients over HTTP; every request stands for itself.

    Host names are not checked here if one of them is a pattern such as "*": the caller does it.
    """
    is_checked = not any("*" in host for host in hosts)
    names = [name for host in hosts for name in (host, f"{host}:*")]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=is_checked,
        allowed_hosts=names,
        allowed_origins=[f"{scheme}://{name}" for scheme in ("http", "https") for name in names],
    )
    return StreamableHTTPSessionManager(
        mcp_server(index, on_call),
        json_response=True,
        stateless=True,
        security_settings=security,
        max_request_body_size=max_bytes,
    )


def _described(name: str, tool: _Tool) -> Tool:
    return Tool(
        name=name,
        title=tool.title,
        description=" ".join((tool.arguments.__doc__ or "").split()),
        input_schema=tool.arguments.model_json_schema(),
        output_schema=tool.result.model_json_schema(mode="serialization"),
        annotations=ToolAnnotations(
            read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
        ),
    )


def _call(tool: _Tool, index: Index, arguments: Mapping[str, Any]) -> CallToolResult:
    """Return the result of a call, or what was wrong with it."""
    try:
        # Clients send null for what they leave out.
        present = {name: value for name, value in arguments.items() if value is not None}
        result = tool.run(index, tool.arguments.model_validate(present)).plain()
    except ValidationError as error:
        return _failed("; ".join(map(_complaint, error.errors())))
    except LongEmbedError as error:
        return _failed(str(error))
    except Exception as error:
        _log.exception("a tool for agents failed")
        return _failed(f"{type(error).__name__}. This is an error of longembed-st. See its log")
    # Metadata may have half of a character, which cannot be sent.
    text = json.dumps(result, ensure_ascii=False).encode("utf-8", "replace").decode()
    return CallToolResult(content=[TextContent(text=text)], structured_content=json.loads(text))


def _complaint(error: Mapping[str, Any]) -> str:
    name = ".".join(map(str, error["loc"]))
    value = "" if error["type"] == "missing" else f", not {error['input']!r:.80}"
    return f"{name}: {error['msg']}{value}"


def _failed(reason: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=reason)], is_error=True)
