"""In Haystack's pipelines, whole documents get the vectors of the core."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

pytest.importorskip("haystack")

from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.dataclasses import ByteStream
from haystack.document_stores.in_memory import InMemoryDocumentStore

import longembed_st as le
from haystack_integrations.components.embedders.longembed import (
    LongEmbedDocumentEmbedder,
    LongEmbedTextEmbedder,
)
from longembed_st.errors import ConfigError, InputError, ModelError

SETTINGS = {"method": "pcw", "window_size": 128}
LONG = "The committee met on Tuesday, and spoke of the weather. " * 60 + "Whales are mammals."


@pytest.fixture(scope="module")
def core(minilm_folder):
    return le.load(str(minilm_folder), **SETTINGS)


@pytest.fixture
def documents(minilm_folder) -> LongEmbedDocumentEmbedder:
    return LongEmbedDocumentEmbedder(str(minilm_folder), settings=SETTINGS)


@pytest.fixture
def query(minilm_folder) -> LongEmbedTextEmbedder:
    return LongEmbedTextEmbedder(str(minilm_folder), settings=SETTINGS)


def test_vectors_are_those_of_the_core(documents, query, core) -> None:
    given = [Document(content=LONG, meta={"page": 1}), Document(content="short")]
    found = documents.run(given)
    expected = core.encode_document([LONG, "short"])
    for document, vector in zip(found["documents"], expected, strict=True):
        np.testing.assert_allclose(document.embedding, vector, atol=1e-6)
    assert [one.embedding for one in given] == [None, None]
    assert [one.id for one in found["documents"]] == [one.id for one in given]
    assert found["documents"][0].meta == {"page": 1}
    counted = le.coverage(core, [LONG, "short"])
    assert found["meta"]["tokens"] == found["meta"]["read"] == sum(one.tokens for one in counted)
    answer = query.run(LONG)
    np.testing.assert_allclose(answer["embedding"], core.encode_query(LONG), atol=1e-6)
    assert answer["meta"]["read"] == counted[0].tokens


def test_metadata_is_put_before_the_text(minilm_folder, core) -> None:
    embedder = LongEmbedDocumentEmbedder(
        str(minilm_folder),
        settings=SETTINGS,
        meta_fields_to_embed=["title", "absent"],
        embedding_separator=" | ",
    )
    found = embedder.run([Document(content="text", meta={"title": "A title"})])["documents"][0]
    np.testing.assert_allclose(found.embedding, core.encode_document("A title | text"), atol=1e-6)


def test_documents_without_text_are_passed_on_and_named(minilm_folder, documents, caplog) -> None:
    picture = Document(blob=ByteStream(b"a picture"), meta={"title": "A title"})
    given = [picture, Document(content=LONG), Document(content="")]
    found = documents.run(given)
    assert [one.id for one in found["documents"]] == [one.id for one in given]
    assert [one.embedding is None for one in found["documents"]] == [True, False, False]
    assert found["meta"]["without_text"] == [picture.id]
    assert picture.id in caplog.text
    assert documents.run([picture])["documents"] == [picture]
    with_titles = LongEmbedDocumentEmbedder(
        str(minilm_folder), settings=SETTINGS, meta_fields_to_embed=["title"]
    )
    (titled,) = with_titles.run([picture])["documents"]
    assert (
        titled.embedding == with_titles.run([Document(content="A title")])["documents"][0].embedding
    )


def test_a_pipeline_indexes_and_finds_and_is_written_down(documents, query) -> None:
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    indexing = Pipeline()
    indexing.add_component("embedder", documents)
    indexing.add_component("writer", DocumentWriter(store))
    indexing.connect("embedder.documents", "writer.documents")
    others = [Document(content=f"Report {n} of gardens and courts. " * 50) for n in range(3)]
    indexing.run({"embedder": {"documents": [Document(content=LONG), *others]}})
    assert store.count_documents() == 4
    asking = Pipeline()
    asking.add_component("embedder", query)
    asking.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    asking.connect("embedder.embedding", "retriever.query_embedding")
    asked = {"embedder": {"text": "the committee and the weather"}}
    (found,) = asking.run(asked)["retriever"]["documents"]
    assert found.content == LONG
    again = Pipeline.loads(asking.dumps())
    assert again.get_component("embedder").to_dict() == query.to_dict()
    assert again.get_component("embedder").provenance == query.provenance


def test_components_are_written_down_and_read(documents, query) -> None:
    for one in (documents, query):
        again = type(one).from_dict(one.to_dict())
        assert again.to_dict() == one.to_dict()
    name = "haystack_integrations.components.embedders.longembed.base.LongEmbedTextEmbedder"
    assert query.to_dict()["type"] == name


def test_nothing_is_loaded_before_it_is_needed() -> None:
    embedder = LongEmbedTextEmbedder("no/such-model")
    assert LongEmbedTextEmbedder.from_dict(embedder.to_dict()).model == "no/such-model"
    with pytest.raises(ModelError, match="no/such-model"):
        embedder.warm_up()


def test_mistakes_are_told_at_once(documents, query) -> None:
    with pytest.raises(ConfigError):
        LongEmbedTextEmbedder("some/model", settings={"max_seq_length": -1})
    with pytest.raises(InputError, match="LongEmbedDocumentEmbedder"):
        query.run([Document(content="x")])
    with pytest.raises(InputError, match="LongEmbedTextEmbedder"):
        documents.run(["x"])
    assert documents.run([])["documents"] == []


def test_the_event_loop_goes_on(documents, query) -> None:
    found = asyncio.run(query.run_async("a query"))
    assert found["embedding"] == query.run("a query")["embedding"]
    embedded = asyncio.run(documents.run_async([Document(content="x")]))
    assert embedded["documents"][0].embedding
