"""Other programs' clients of OpenAI's API, unchanged, with long texts."""

from __future__ import annotations

import numpy as np
import pytest

LONG = "The committee spoke of the harbour, of the orchard and of the railway. " * 200


@pytest.fixture
def expected(server) -> np.ndarray:
    return server[1].index.model.model.encode([LONG, "a short text"])


def test_openai(server, expected) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server[0]}/v1", api_key="none")
    name = client.models.list().data[0].id
    answer = client.embeddings.create(model=name, input=[LONG, "a short text"])
    found = np.array([one.embedding for one in answer.data])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert answer.usage.prompt_tokens > 2_000
    assert answer.data[0].coverage["read"] == answer.data[0].coverage["tokens"]
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        client.embeddings.create(model="text-embedding-3-small", input="a")


def test_langchain(server, expected) -> None:
    openai = pytest.importorskip("langchain_openai")
    embeddings = openai.OpenAIEmbeddings(
        base_url=f"{server[0]}/v1",
        api_key="none",
        model=server[1].model_name,
        check_embedding_ctx_length=False,
    )
    found = embeddings.embed_documents([LONG, "a short text"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query("a short text"), expected[1], atol=1e-6)


def test_llama_index(server, expected) -> None:
    like = pytest.importorskip("llama_index.embeddings.openai_like")
    embedding = like.OpenAILikeEmbedding(
        model_name=server[1].model_name, api_base=f"{server[0]}/v1", api_key="none"
    )
    found = embedding.get_text_embedding_batch([LONG, "a short text"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(
        embedding.get_query_embedding("a short text"), expected[1], atol=1e-6
    )
