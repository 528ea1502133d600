"""LlamaIndex's reranker, alone and behind a retriever."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("chromadb")

from class_models import late_minilm
from integrations.answering import ANSWERS, QUESTIONS
from llama_index.core.schema import NodeWithScore, TextNode

from llama_index.postprocessor.longembed import LongEmbedReranker
from llama_index.retrievers.longembed import LongEmbedRetriever
from longembed_st.errors import ConfigError


def test_nodes_are_read_whole_and_ordered(store, minilm_folder) -> None:
    files = sorted((store.parent / "docs").iterdir())
    nodes = [NodeWithScore(node=TextNode(text=f.read_text(), id_=f.stem), score=0.1) for f in files]
    reranker = LongEmbedReranker(model=late_minilm(minilm_folder), top_n=2)
    for topic, question in list(QUESTIONS.items())[:1]:
        first, second = reranker.postprocess_nodes(nodes, query_str=question)
        assert first.node.node_id == topic
        assert first.score > second.score
        data = first.node.metadata
        window = first.node.get_content()[data["window_start"] : data["window_end"]]
        assert ANSWERS[topic] in window
        assert data["retrieval_score"] == 0.1
    assert nodes[0].node.metadata == {}
    assert reranker.postprocess_nodes([], query_str="q") == []
    with pytest.raises(ConfigError, match="needs the query"):
        reranker.postprocess_nodes(nodes)


def test_a_retriever_reranks(store, minilm_folder) -> None:
    retriever = LongEmbedRetriever(
        store, k=1, mode="dense", reranker=late_minilm(minilm_folder), candidates=3
    )
    (found,) = retriever.retrieve(QUESTIONS["harbour"])
    assert ANSWERS["harbour"] in found.node.text
