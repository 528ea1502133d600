"""A store is reindexed while a searcher, retrievers and a server have it open: none is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving import running

from longembed_index import Document, Index

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")
httpx = pytest.importorskip("httpx")

TOPICS = ("harbour", "orchard", "railway")
QUESTION = "the court of the green river"
TEXTS = {topic: f"The {topic} by the green river. " * 30 for topic in TOPICS} | {"court": QUESTION}


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("lancedb", marks=pytest.mark.slow)])
def test_no_search_is_refused_and_all_ask_the_new_model(tmp_path, small_model, kind) -> None:
    pytest.importorskip("lancedb" if kind == "lancedb" else "sqlite3")
    from langchain_longembed import LongEmbedRetriever
    from llama_index.retrievers.longembed import LongEmbedRetriever as LlamaIndexRetriever
    from longembed_serve.application import application
    from longembed_serve.service import Service

    place = tmp_path / "store"
    first = small_model("bert", positions=64)
    other = small_model("bert", positions=64, hidden_size=48)
    with Index.open(place, first, kind=kind, method="pcw") as index:
        index.add_documents([Document(key, text) for key, text in TEXTS.items()])
    searcher = Index.open(place)
    langchain = LongEmbedRetriever(store=str(place), k=1, mode="dense", returns="documents")
    llama_index = LlamaIndexRetriever(store=str(place), k=1, mode="dense", returns="documents")
    served = application(
        Service(Index.open(place)), max_bytes=100_000, key=None, hosts=["127.0.0.1"]
    )

    with running(served) as address:

        def ask_server() -> Any:
            body = {"query": QUESTION, "k": 1, "mode": "dense"}
            answer = httpx.post(f"{address}/search", json=body, timeout=120)
            assert answer.status_code == 200, answer.text
            return answer.json()["hits"][0]["source"]

        ways: dict[str, Callable[[], str]] = {
            "Index": lambda: searcher.search(QUESTION, k=1, mode="dense")[0].document.id,
            "LangChain": lambda: langchain.invoke(QUESTION)[0].metadata["source"],
            "LlamaIndex": lambda: llama_index.retrieve(QUESTION)[0].node.metadata["source"],
            "server": ask_server,
        }
        wrong: list[str] = []
        is_over = threading.Event()

        def ask_on(name: str, ask: Callable[[], str]) -> None:
            is_last = False
            while not is_last:
                is_last = is_over.is_set()
                try:
                    answer = ask()
                except Exception as error:
                    answer = repr(error)
                if answer != "court":
                    wrong.append(f"{name}: {answer}")
                    return

        threads = [threading.Thread(target=ask_on, args=item) for item in ways.items()]
        for thread in threads:
            thread.start()
        try:
            with Index.open(place) as writer:
                writer.reindex(other, method="pcw", drop_old=True)
                writer.reindex(other, method="pcw", max_seq_length=128, drop_old=True)
                writer.reindex(first, method="pi", max_seq_length=128, units=False, drop_old=True)
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
    assert wrong == []
    assert searcher.model_name == str(Path(first))
    assert searcher.model.settings.method == "pi"
    searcher.close()
