"""Answer questions from whole documents with LangChain: the passages that answer, and no splitter.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands one that repeats its prompt.

    python examples/qa_langchain.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from installed_packages import QUESTIONS, indexed_packages, passage
from langchain_core.language_models import ParrotFakeChatModel
from langchain_core.prompts import ChatPromptTemplate

from langchain_longembed import LongEmbedRetriever

PROMPT = ChatPromptTemplate.from_template("{context}\n\nAnswer from these passages: {question}")


def main() -> None:
    """Index, retrieve, answer."""
    with TemporaryDirectory() as folder:
        store = indexed_packages(Path(folder) / "store")
        retriever = LongEmbedRetriever(store=str(store), k=1, passages=5, returns="documents")
        answering = PROMPT | ParrotFakeChatModel()
        for question in QUESTIONS:
            (document,) = retriever.invoke(question)
            context = "\n\n".join(part["text"] for part in document.metadata["passages"])
            answer = answering.invoke({"context": context, "question": question})
            words = f"{len(context.split()):,} of {len(document.page_content.split()):,} words"
            print(f"{question}\n  {document.metadata['title']}: {passage(answer.text, question)}")
            print(f"  One call, with {words} of the document.\n")


if __name__ == "__main__":
    main()
