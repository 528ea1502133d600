"""LlamaIndex: passages as nodes, with their places in the document."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("chromadb")

from integrations.answering import ANSWERS, QUESTIONS, FakeLanguageModel
from llama_index.core.schema import MetadataMode, NodeRelationship

from llama_index.retrievers.longembed import LongEmbedRetriever
from longembed_index.errors import StoreError
from longembed_st.errors import ConfigError


def test_a_node_is_the_passage_that_answers(store) -> None:
    topic, model = "harbour", FakeLanguageModel()
    (found,) = LongEmbedRetriever(store, k=1).retrieve(QUESTIONS[topic])
    node = found.node
    assert model.answer(QUESTIONS[topic], node.text) == ANSWERS[topic]
    assert model.words < 300
    source = node.relationships[NodeRelationship.SOURCE].node_id
    whole = Path(source).read_text()
    assert whole[node.start_char_idx : node.end_char_idx] == node.text
    assert ANSWERS[topic] in node.metadata["sentence"]
    assert node.metadata["sentence"] in node.text
    assert node.get_content(MetadataMode.LLM) == f"title: {topic}.txt\n\n{node.text}"
    (again,) = LongEmbedRetriever(store, k=1).retrieve(QUESTIONS[topic])
    assert again.node.node_id == node.node_id


def test_a_context_is_one_node_for_a_prompt(store) -> None:
    (found,) = LongEmbedRetriever(store, returns="context", max_words=90).retrieve(
        QUESTIONS["orchard"]
    )
    assert ANSWERS["orchard"] in found.node.text
    assert found.node.metadata["size"] <= 90
    assert found.node.get_content(MetadataMode.LLM) == found.node.text


async def test_whole_documents_and_the_asynchronous_way(store) -> None:
    retriever = LongEmbedRetriever(store, k=2, returns="documents")
    found = await retriever.aretrieve(QUESTIONS["railway"])
    assert len(found) == 2
    assert found[0].node.metadata["title"] == "railway.txt"
    assert found[0].node.text == Path(found[0].node.metadata["source"]).read_text()
    assert found[0].score > found[1].score


async def test_asynchronous_calls_let_the_event_loop_run(store, monkeypatch) -> None:
    # The search waits for a signal that only a running loop can give.
    retriever, signal = LongEmbedRetriever(store, k=1), threading.Event()
    search = retriever._index.search
    monkeypatch.setattr(
        retriever._index,
        "search",
        lambda *words, **more: signal.wait(300) and search(*words, **more),
    )
    retrieving = asyncio.create_task(retriever.aretrieve(QUESTIONS["railway"]))
    await asyncio.sleep(0)
    signal.set()
    (found,) = await retrieving
    assert found.node.metadata["title"] == "railway.txt"


def test_only_documents_with_some_metadata(store) -> None:
    retriever = LongEmbedRetriever(store, where={"source": "*/orchard.*"})
    (found,) = retriever.retrieve(QUESTIONS["harbour"])
    assert found.node.metadata["title"] == "orchard.txt"
    assert 0 <= found.node.metadata["share"] < 1
    # A plain text knows neither.
    assert not {"page", "heading"} & found.node.metadata.keys()


def test_mistakes_are_named(store, tmp_path, minilm_folder) -> None:
    with pytest.raises(StoreError, match="there is no index in"):
        LongEmbedRetriever(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="mode must be"):
        LongEmbedRetriever(store, mode="fuzzy")
    with pytest.raises(ConfigError, match="weight must be"):
        LongEmbedRetriever(store, weight=2)
    with pytest.raises(ConfigError, match="returns must be"):
        LongEmbedRetriever(store, returns="chunks")
