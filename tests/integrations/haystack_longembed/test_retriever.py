"""A Haystack pipeline that asks an index."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("haystack")

from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from integrations.answering import ANSWERS, QUESTIONS

from haystack_integrations.components.retrievers.longembed import LongEmbedRetriever
from longembed_index import Index
from longembed_index.errors import StoreError
from longembed_st.errors import ConfigError


def test_a_pipeline_gets_the_passages_that_answer_and_is_written_down(store) -> None:
    pipeline = Pipeline()
    pipeline.add_component("retriever", LongEmbedRetriever(store, top_k=2))
    prompt = "{% for d in documents %}{{ d.content }} ({{ d.meta.source }}){% endfor %}"
    pipeline.add_component("prompt", PromptBuilder(prompt, required_variables=["documents"]))
    pipeline.connect("retriever.documents", "prompt.documents")
    again = Pipeline.loads(pipeline.dumps())
    for asked in (pipeline, again):
        text = asked.run({"retriever": {"query": QUESTIONS["harbour"]}})["prompt"]["prompt"]
        assert ANSWERS["harbour"] in text
        assert "harbour.txt" in text


def test_passages_are_those_of_the_index(store) -> None:
    retriever = LongEmbedRetriever(str(store), passages=2)
    with Index.open(store) as index:
        hits = index.search(QUESTIONS["orchard"], 1, passages=2)
    documents = retriever.run(QUESTIONS["orchard"], top_k=1)["documents"]
    assert [document.content for document in documents] == [p.text for p in hits[0].passages]
    best, (hit,) = documents[0], hits
    assert best.score == pytest.approx(hit.passages[0].score)
    assert best.meta["document_score"] == pytest.approx(hit.score)
    assert ANSWERS["orchard"] in best.meta["sentence"]
    assert best.meta["sentence"] in best.content
    assert hit.document.text[best.meta["start"] : best.meta["end"]] == best.content
    assert len({document.id for document in documents}) == len(documents)
    of_railway = retriever.run(QUESTIONS["orchard"], where={"source": "*railway*"})["documents"]
    assert {document.meta["title"] for document in of_railway} == {"railway.txt"}


def test_whole_documents_and_contexts(store) -> None:
    whole = LongEmbedRetriever(store, top_k=1, returns="documents").run(QUESTIONS["railway"])
    (document,) = whole["documents"]
    assert len(document.content.split()) > 2_000
    context = LongEmbedRetriever(store, returns="context", max_words=100)
    (found,) = asyncio.run(context.run_async(QUESTIONS["railway"]))["documents"]
    assert ANSWERS["railway"] in found.content
    assert len(found.content.split()) <= 100
    assert found.meta["citations"]


def test_mistakes(store, tmp_path) -> None:
    with pytest.raises(ConfigError, match="not 'chunks'"):
        LongEmbedRetriever(store, returns="chunks")
    with pytest.raises(StoreError):
        LongEmbedRetriever(tmp_path / "absent").warm_up()
    with pytest.raises(ConfigError, match="blank"):
        LongEmbedRetriever(store).run(" ")
