"""A search imports no library of models, whoever asks: the query encoder answers."""

from __future__ import annotations

import os
import random
import textwrap
from pathlib import Path

import pytest
from fresh_process import run_fresh

from longembed_index import Document, Index

for library in ("openvino", "langchain_core", "llama_index.core", "mcp"):
    pytest.importorskip(library)

WAYS = {
    "command": """
        from longembed_st.command.app import run
        assert run(["search", "ban cor", "--store", given]) == 0
    """,
    "LangChain": """
        from langchain_longembed import LongEmbedRetriever
        assert len(LongEmbedRetriever(store=given, k=3).invoke("ban cor")) >= 3
    """,
    "LlamaIndex": """
        from llama_index.retrievers.longembed import LongEmbedRetriever
        assert len(LongEmbedRetriever(store=given, k=3).retrieve("ban cor")) >= 3
    """,
    "MCP": """
        import asyncio
        from mcp import Client
        from longembed_index import Index
        from longembed_serve.mcp_server import mcp_server

        async def ask():
            with Index.open(given) as index:
                async with Client(mcp_server(index)) as client:
                    found = await client.call_tool("search", {"query": "ban cor"})
                    context = await client.call_tool("get_context", {"question": "ban cor"})
            assert len(found.structured_content["hits"]) == 3
            assert not context.is_error

        asyncio.run(ask())
    """,
}


@pytest.fixture(scope="module")
def place(small_model, tmp_path_factory) -> tuple[Path, str]:
    """A store, and the folder in which its query encoder is kept."""
    draw = random.Random(0)
    words = ["ban", "cor", "dim", "fel", "gast", "kion"]
    texts = [" ".join(draw.choices(words, k=2_500)) + "." for _ in range(3)]
    place = tmp_path_factory.mktemp("light") / "store"
    with Index.open(place, model=small_model("bert", positions=64)) as index:
        index.add_documents([Document(str(n), text) for n, text in enumerate(texts)])
    return place, os.environ["LONGEMBED_CACHE"]


@pytest.mark.parametrize("way", WAYS)
def test_no_library_of_models_is_imported(place, tmp_path, way) -> None:
    heavy = 'answer(sorted({"torch", "transformers", "sentence_transformers"} & {*sys.modules}))'
    code = textwrap.dedent(WAYS[way]) + heavy
    store, cache = place
    assert run_fresh(code, tmp_path, given=str(store), LONGEMBED_CACHE=cache) == []
