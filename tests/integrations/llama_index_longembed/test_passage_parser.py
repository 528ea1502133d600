"""PassageNodeParser: nodes that have their vectors already."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from small_models import WORDS

pytest.importorskip("llama_index.core")

from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import Document

from llama_index.embeddings.longembed import LongEmbedEmbedding, PassageNodeParser
from longembed_index.rows import encode_passages


@pytest.fixture(scope="module")
def embed_model(small_model) -> LongEmbedEmbedding:
    folder = str(small_model("bert", positions=64))
    return LongEmbedEmbedding(model_name=folder, method="pi", max_seq_length=512)


@pytest.fixture
def documents() -> list[Document]:
    draw = np.random.default_rng(0)
    texts = [". ".join(" ".join(draw.choice(WORDS, 8)) for _ in range(30)) for _ in range(3)]
    return [Document(text=text, id_=f"d{n}", metadata={"n": n}) for n, text in enumerate(texts)]


def test_nodes_carry_the_vectors_of_their_passages(embed_model, documents) -> None:
    tokens = 60
    nodes = PassageNodeParser(embed_model=embed_model, passage_tokens=tokens)(documents)
    for document in documents:
        mine = [node for node in nodes if node.ref_doc_id == document.id_]
        found = encode_passages(embed_model.sentence_transformer, document.text, tokens=tokens)
        assert len(mine) > 1
        assert [[node.start_char_idx, node.end_char_idx] for node in mine] == found.ranges.tolist()
        for node, vector in zip(mine, found.vectors, strict=True):
            assert node.text == document.text[node.start_char_idx : node.end_char_idx]
            assert node.metadata == document.metadata
            np.testing.assert_allclose(node.embedding, vector, atol=1e-6)


def test_nothing_is_embedded_again(embed_model, documents, monkeypatch) -> None:
    nodes = PassageNodeParser(embed_model=embed_model)(documents)
    embedded: list[str] = []
    kind = type(embed_model)
    embed = kind._get_text_embeddings
    monkeypatch.setattr(
        kind,
        "_get_text_embeddings",
        lambda self, texts: embedded.extend(texts) or embed(self, texts),
    )
    index = VectorStoreIndex(nodes, embed_model=embed_model)
    (found,) = index.as_retriever(similarity_top_k=1).retrieve(nodes[2].text)
    assert embedded == []
    assert found.node.node_id in {node.node_id for node in nodes}


def test_ids_survive_being_ingested_twice(embed_model, documents) -> None:
    pipeline = IngestionPipeline(transformations=[PassageNodeParser(embed_model=embed_model)])
    first = pipeline.run(documents=documents)
    again = IngestionPipeline(transformations=[PassageNodeParser(embed_model=embed_model)])
    assert [node.node_id for node in again.run(documents=documents)] == [n.node_id for n in first]
    assert len({node.node_id for node in first}) == len(first)


async def test_asynchronous_calls_let_the_event_loop_run(
    embed_model, documents, monkeypatch
) -> None:
    # Parsing waits for a signal that only a running loop can give.
    parser, signal = PassageNodeParser(embed_model=embed_model), threading.Event()
    parse = PassageNodeParser._parse_nodes
    monkeypatch.setattr(
        PassageNodeParser, "_parse_nodes", lambda *words: signal.wait(300) and parse(*words)
    )
    parsing = asyncio.create_task(parser.acall(documents))
    await asyncio.sleep(0)
    signal.set()
    assert len(await parsing) > len(documents)
