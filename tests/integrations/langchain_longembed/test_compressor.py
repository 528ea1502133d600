"""LangChain's reranker, alone and behind a retriever."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("chromadb")

from class_models import late_minilm
from integrations.answering import ANSWERS, QUESTIONS
from langchain_core.documents import Document

from langchain_longembed import LongEmbedReranker, LongEmbedRetriever
from longembed_st.errors import ModelError


def documents_of(store) -> list[Document]:
    files = sorted((store.parent / "docs").iterdir())
    return [
        Document(page_content=f.read_text(), metadata={"name": f.stem}, id=f.stem) for f in files
    ]


def test_the_document_that_answers_is_first_and_its_best_window_holds_the_answer(
    store, minilm_folder
) -> None:
    topic = "orchard"
    given = documents_of(store)
    reranker = LongEmbedReranker(model=late_minilm(minilm_folder), top_n=2, returns="passages")
    first, second = reranker.compress_documents(given, QUESTIONS[topic])
    assert (first.metadata["name"], first.id) == (topic, topic)
    assert ANSWERS[topic] in first.page_content
    whole = next(one.page_content for one in given if one.id == topic)
    assert whole[first.metadata["start"] : first.metadata["end"]] == first.page_content
    assert first.metadata["relevance_score"] > second.metadata["relevance_score"]
    assert "relevance_score" not in given[0].metadata


def test_whole_documents_none_and_what_is_no_reranker(store, minilm_folder) -> None:
    reranker = LongEmbedReranker(model=str(late_minilm(minilm_folder)))
    found = reranker.compress_documents(documents_of(store), QUESTIONS["railway"])
    assert sorted(one.page_content for one in found) == sorted(
        one.page_content for one in documents_of(store)
    )
    assert reranker.compress_documents([], "q") == []
    with pytest.raises(ModelError, match="does not rerank"):
        LongEmbedReranker(model=str(minilm_folder)).compress_documents(found, "q")


def test_a_retriever_reranks(store, minilm_folder) -> None:
    retriever = LongEmbedRetriever(
        store=str(store),
        k=1,
        mode="dense",
        returns="passages",
        reranker=str(late_minilm(minilm_folder)),
        candidates=3,
    )
    (passage,) = retriever.invoke(QUESTIONS["orchard"])
    assert ANSWERS["orchard"] in passage.page_content
    assert passage.metadata["document_score"] > 1
