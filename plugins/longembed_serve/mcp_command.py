"""The command `longembed mcp`."""

from __future__ import annotations

import asyncio
import sys

from longembed_index.command.options import (
    CollectionOption,
    MovedModelOption,
    StoreOption,
    open_index,
)
from longembed_st.command.terminal import terminal
from longembed_st.extras import needs_extra


def mcp(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: MovedModelOption = None,
) -> None:
    """Let agents search and read a store, as a server of the Model Context Protocol.

    A client, such as Claude Code, Cursor or VS Code, starts this command and speaks to it over
    standard input and output. The tools are get_context, search, get_document and list_documents;
    none of them writes. `longembed serve` has the same tools over HTTP, under /mcp.

    Example: `claude mcp add reports -- longembed mcp --store /home/me/store`
    """
    with needs_extra("mcp", "mcp"):
        from longembed_serve.mcp_server import serve_stdio

    if sys.stdin.isatty():
        terminal(stderr=True).say("Waiting for a client on standard input; Ctrl-C ends.")
    with open_index(store, collection, model=model) as index:
        asyncio.run(serve_stdio(index))
