"""Answer questions over whole documents with LlamaIndex: one node each, no chunks.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands one that repeats its prompt.

    python examples/qa_llama_index.py
"""

from __future__ import annotations

from installed_packages import MODEL, QUESTIONS, installed_packages, passage
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM

from llama_index.embeddings.longembed import LongEmbedEmbedding, WholeDocumentParser


def main() -> None:
    """Index, retrieve, answer."""
    Settings.llm = MockLLM()
    # LlamaIndex cuts what it retrieves to fit the language model: tell it how much that reads.
    Settings.context_window = 1_000_000
    embed_model = LongEmbedEmbedding(model_name=MODEL, max_seq_length=4096, on_overflow="truncate")
    documents = [
        Document(text=text, id_=name, metadata={"package": name})
        for name, text in installed_packages()
    ]
    # In one step: VectorStoreIndex.from_documents(documents, embed_model=embed_model,
    # transformations=[WholeDocumentParser()]). A pipeline adds a cache, and stores for many runs.
    pipeline = IngestionPipeline(transformations=[WholeDocumentParser(), embed_model])
    index = VectorStoreIndex(pipeline.run(documents=documents), embed_model=embed_model)
    engine = index.as_query_engine(similarity_top_k=1)
    for question in QUESTIONS:
        answer = engine.query(question)
        package = answer.source_nodes[0].metadata["package"]
        print(f"{question}\n  {package}: {passage(str(answer), question)}\n")


if __name__ == "__main__":
    main()
