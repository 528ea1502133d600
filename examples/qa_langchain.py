"""Answer questions over whole documents with LangChain: one vector each, no text splitter.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands one that repeats its prompt.

    python examples/qa_langchain.py
"""

from __future__ import annotations

from installed_packages import MODEL, QUESTIONS, installed_packages, passage
from langchain_core.documents import Document
from langchain_core.language_models import ParrotFakeChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_longembed import LongEmbedEmbeddings

PROMPT = ChatPromptTemplate.from_template("{context}\n\nAnswer from this document: {question}")


def main() -> None:
    """Index, retrieve, answer."""
    embeddings = LongEmbedEmbeddings(model=MODEL, max_seq_length=4096, on_overflow="truncate")
    store = InMemoryVectorStore(embeddings)
    store.add_documents(
        [Document(text, metadata={"package": name}) for name, text in installed_packages()]
    )
    retriever = store.as_retriever(search_kwargs={"k": 1})
    answering = PROMPT | ParrotFakeChatModel()
    for question in QUESTIONS:
        (document,) = retriever.invoke(question)
        answer = answering.invoke({"context": document.page_content, "question": question})
        print(f"{question}\n  {document.metadata['package']}: {passage(answer.text, question)}\n")


if __name__ == "__main__":
    main()
