"""Answer questions over whole documents with Chroma alone: one record each, no chunks.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands a function that repeats its prompt.

    python examples/qa_chroma.py
"""

from __future__ import annotations

import chromadb
from installed_packages import MODEL, QUESTIONS, installed_packages, passage

from chroma_longembed import LongEmbedEmbeddingFunction, open_collection


def language_model(prompt: str) -> str:
    """Echoes; put your own here."""
    return prompt


def main() -> None:
    """Index, retrieve, answer."""
    function = LongEmbedEmbeddingFunction(MODEL, max_seq_length=4096, on_overflow="truncate")
    client = chromadb.EphemeralClient()
    # Unlike Chroma's own, it refuses to mix the vectors of two models or settings.
    collection = open_collection(client, "packages", function)
    names, texts = zip(*installed_packages(), strict=True)
    collection.add(ids=list(names), documents=list(texts))
    for question in QUESTIONS:
        found = collection.query(query_texts=[question], n_results=1)
        name, text = found["ids"][0][0], found["documents"][0][0]
        answer = language_model(f"{text}\n\nAnswer from this document: {question}")
        print(f"{question}\n  {name}: {passage(answer, question)}\n")


if __name__ == "__main__":
    main()
