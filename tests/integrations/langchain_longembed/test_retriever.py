"""LangChain's suite for retrievers, and a question that a long document answers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("langchain_tests")

from integrations.answering import ANSWERS, QUESTIONS, FakeLanguageModel
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_longembed import LongEmbedRetriever
from longembed_index.errors import StoreError
from longembed_st.errors import ConfigError


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, store: Path) -> None:
        self.store = str(store)

    @property
    def retriever_constructor(self) -> type[LongEmbedRetriever]:
        return LongEmbedRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, str]:
        return {"store": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "Who paid for the new crane?"


def test_documents_are_whole_and_say_where_the_answer_stands(store) -> None:
    retriever = LongEmbedRetriever(store=store, k=1, mode="dense", returns="documents")
    (found,) = retriever.invoke(QUESTIONS["harbour"])
    assert isinstance(found, Document)
    assert found.metadata["title"] == "harbour.txt"
    assert len(found.page_content.split()) > 2_000
    (passage,) = found.metadata["passages"]
    assert found.page_content[passage["start"] : passage["end"]] == passage["text"]
    scores = found.metadata
    assert found.metadata["score"] == pytest.approx(
        (scores["document_vector"] + scores["best_run"]) / 2, abs=1e-3
    )


def test_a_passage_answers_with_a_call_of_few_words(store) -> None:
    """The whole document would cost a prompt of thousands of words."""
    topic, model = "harbour", FakeLanguageModel()
    retriever = LongEmbedRetriever(store=store, k=1)
    (passage,) = retriever.invoke(QUESTIONS[topic])
    assert model.answer(QUESTIONS[topic], passage.page_content) == ANSWERS[topic]
    assert (model.calls, model.words < 300) == (1, True)
    whole = Path(passage.metadata["source"]).read_text()
    assert whole[passage.metadata["start"] : passage.metadata["end"]] == passage.page_content
    assert ANSWERS[topic] in passage.metadata["sentence"]
    assert passage.metadata["sentence"] in passage.page_content
    assert passage.metadata["is_answer"] is True


def test_a_context_is_one_document_for_a_prompt(store) -> None:
    retriever = LongEmbedRetriever(store=str(store), returns="context", max_words=90)
    (context,) = retriever.invoke(QUESTIONS["harbour"])
    assert ANSWERS["harbour"] in context.page_content
    assert context.metadata["size"] <= 90
    assert context.metadata["is_answered"]
    assert context.metadata["citations"][0]["title"] == "harbour.txt"
    (context,) = retriever.invoke(QUESTIONS["harbour"], where={"title": "orch*"})
    assert ANSWERS["harbour"] not in context.page_content


def test_ids_are_given_and_the_same_each_time(store) -> None:
    for returns in ("passages", "documents"):
        retriever = LongEmbedRetriever(store=store, k=3, passages=2, returns=returns)
        found, again = (retriever.invoke(QUESTIONS["harbour"]) for _ in range(2))
        assert [document.id for document in found] == [document.id for document in again]
        assert len({document.id for document in found}) == len(found) >= 3
        assert None not in {document.id for document in found}


def test_passages_go_into_another_vector_store(store, minilm_folder, tmp_path) -> None:
    chromadb = pytest.importorskip("chromadb")
    from langchain_chroma import Chroma

    from langchain_longembed import LongEmbedEmbeddings

    found = LongEmbedRetriever(store=store, k=2).invoke(QUESTIONS["harbour"])
    # Not in memory, where all clients of a process have the same collections.
    with chromadb.PersistentClient(str(tmp_path)) as client:
        embeddings = LongEmbedEmbeddings(model=str(minilm_folder))
        other = Chroma(client=client, embedding_function=embeddings)
        assert other.add_documents(found) == [document.id for document in found]


async def test_it_answers_asynchronously(store) -> None:
    (found,) = await LongEmbedRetriever(store=str(store)).ainvoke(QUESTIONS["orchard"], k=1)
    assert found.metadata["title"] == "orchard.txt"


def test_only_documents_with_some_metadata(store) -> None:
    retriever = LongEmbedRetriever(store=str(store), where={"title": "orch*"})
    titles = [found.metadata["title"] for found in retriever.invoke(QUESTIONS["harbour"])]
    assert titles == ["orchard.txt"]
    found = retriever.invoke(QUESTIONS["harbour"], where={"title": "harbour.txt"})
    assert [one.metadata["title"] for one in found] == ["harbour.txt"]
    assert retriever.invoke("anything", where={"title": "?.txt"}) == []
    with pytest.raises(ConfigError, match="'titel'"):
        retriever.invoke("anything", where={"titel": "harbour.txt"})


def test_a_store_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(StoreError, match="there is no index in"):
        LongEmbedRetriever(store=str(tmp_path)).invoke("anything")
    with pytest.raises(ValueError, match="weight"):
        LongEmbedRetriever(store=str(tmp_path), weight=2)
    with pytest.raises(ValueError, match="extra"):
        LongEmbedRetriever(store=str(tmp_path), top_k=3)


def test_a_pickled_retriever_opens_the_store_again(store) -> None:
    retriever = LongEmbedRetriever(store=str(store), k=1)
    retriever.invoke(QUESTIONS["harbour"])
    for again in (pickle.loads(pickle.dumps(retriever)), copy.deepcopy(retriever)):
        assert again.invoke(QUESTIONS["railway"])[0].metadata["title"] == "railway.txt"
