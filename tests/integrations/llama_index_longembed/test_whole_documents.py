"""Whole documents through LlamaIndex's pipelines and indexes."""

from __future__ import annotations

from pathlib import Path

import pytest
from compare import cosine

pytest.importorskip("llama_index.core")

from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionCache, IngestionPipeline
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import SimpleVectorStore

from llama_index.embeddings.longembed import LongEmbedEmbedding, WholeDocumentParser

FILLER = "The minutes of the meeting were read and approved by everyone. " * 25
CAT = FILLER + "The cat sleeps on the warm sofa.\n" * 15
BANK = FILLER + "The central bank raised interest rates.\n" * 15


@pytest.fixture(scope="module")
def embed_model(minilm_folder: Path) -> LongEmbedEmbedding:
    return LongEmbedEmbedding(model_name=str(minilm_folder), method="pcw")


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document(text=CAT, id_="cat", metadata={"file": "cat.txt"}),
        Document(text=BANK, id_="bank", metadata={"file": "bank.txt"}),
    ]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are embedded from now on."""
    texts: list[str] = []
    embed = LongEmbedEmbedding._get_text_embeddings

    def watched(self, batch):
        texts.extend(batch)
        return embed(self, batch)

    monkeypatch.setattr(LongEmbedEmbedding, "_get_text_embeddings", watched)
    return texts


def test_an_index_holds_one_vector_per_document(embed_model, documents) -> None:
    index = VectorStoreIndex.from_documents(
        documents, transformations=[WholeDocumentParser()], embed_model=embed_model
    )
    assert len(index.vector_store.data.embedding_dict) == 2
    (hit,) = index.as_retriever(similarity_top_k=1).retrieve("monetary policy")
    assert hit.node.ref_doc_id == "bank"
    assert hit.node.get_content() == BANK
    assert hit.node.metadata == {"file": "bank.txt"}
    index.delete_ref_doc("bank")
    (hit,) = index.as_retriever(similarity_top_k=1).retrieve("monetary policy")
    assert hit.node.ref_doc_id == "cat"


def test_a_cache_answers_for_equal_settings_only(embed_model, documents, embedded) -> None:
    cache = IngestionCache()
    parser = WholeDocumentParser()

    def ingest(model: LongEmbedEmbedding) -> list[list[float]]:
        del embedded[:]
        pipeline = IngestionPipeline(transformations=[parser, model], cache=cache)
        return [node.embedding for node in pipeline.run(documents=documents)]

    first = ingest(embed_model)
    assert embedded == [CAT, BANK]
    assert ingest(LongEmbedEmbedding.from_dict(embed_model.to_dict())) == first
    assert embedded == []
    other = LongEmbedEmbedding(model_name=embed_model.model_name, method="pcw", window_size=64)
    assert ingest(other) != first
    assert embedded == [CAT, BANK]


def test_a_second_ingestion_embeds_only_what_changed(embed_model, documents, embedded) -> None:
    store = SimpleVectorStore()
    pipeline = IngestionPipeline(
        transformations=[WholeDocumentParser(), embed_model],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
        vector_store=store,
        disable_cache=True,
    )
    pipeline.run(documents=documents)
    before = dict(store.data.embedding_dict)
    del embedded[:]
    pipeline.run(documents=documents)
    assert embedded == []
    changed = Document(text=BANK + "No more.", id_="bank", metadata={"file": "bank.txt"})
    pipeline.run(documents=[documents[0], changed])
    assert embedded == [BANK + "No more."]
    after = store.data.embedding_dict
    assert after.keys() == before.keys()
    assert sum(after[key] != before[key] for key in after) == 1


def test_a_chroma_store_keeps_whole_documents(embed_model, documents, tmp_path) -> None:
    stores = pytest.importorskip("llama_index.vector_stores.chroma")
    chromadb = pytest.importorskip("chromadb")
    space = {"hnsw": {"space": "cosine"}}
    with chromadb.PersistentClient(str(tmp_path)) as client:
        collection = client.create_collection("whole", configuration=space, embedding_function=None)
        store = stores.ChromaVectorStore(chroma_collection=collection)
        VectorStoreIndex.from_documents(
            documents,
            transformations=[WholeDocumentParser()],
            embed_model=embed_model,
            storage_context=StorageContext.from_defaults(vector_store=store),
        )
    with chromadb.PersistentClient(str(tmp_path)) as client:
        collection = client.get_collection("whole", embedding_function=None)
        assert collection.count() == 2
        stored = collection.get(include=["embeddings", "documents"])
        vectors = embed_model.sentence_transformer.encode_document(stored["documents"])
        assert cosine(stored["embeddings"], vectors) > 0.999999
        index = VectorStoreIndex.from_vector_store(
            stores.ChromaVectorStore(chroma_collection=collection), embed_model=embed_model
        )
        (hit,) = index.as_retriever(similarity_top_k=1).retrieve("a pet")
        assert hit.node.get_content() == CAT
        assert hit.node.metadata["file"] == "cat.txt"
        assert hit.node.ref_doc_id == "cat"
