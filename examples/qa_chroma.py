"""Answer questions over whole documents with Chroma alone: passages as rows, hits as documents.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands a function that repeats its prompt.

    python examples/qa_chroma.py
"""

from __future__ import annotations

import chromadb
from installed_packages import MODEL, QUESTIONS, installed_packages, passage

from chroma_longembed import LongEmbedEmbeddingFunction, open_collection
from longembed_index.rows import grouped, rows_of

HITS = 50
PASSAGES = 5


def language_model(prompt: str) -> str:
    """Echoes; put your own here."""
    return prompt


def main() -> None:
    """Index, retrieve, answer."""
    function = LongEmbedEmbeddingFunction(MODEL)
    # Unlike Chroma's own, it refuses to mix the vectors of two models or settings.
    collection = open_collection(chromadb.EphemeralClient(), "packages", function)
    texts = dict(installed_packages())
    for row in rows_of(function.model, texts):
        collection.add(row.id, row.vector, row.metadata, row.text)
    for question in QUESTIONS:
        rows = collection.query(query_texts=[question], n_results=HITS)
        similarities = [1 - distance for distance in rows["distances"][0]]
        (hit,) = grouped(zip(rows["metadatas"][0], similarities, strict=True), texts, k=1)
        context = "\n\n".join(part.text for part in hit.passages[:PASSAGES])
        answer = language_model(f"{context}\n\nAnswer from these passages: {question}")
        print(f"{question}\n  {hit.document.id}: {passage(answer, question)}")
        words = f"{len(context.split()):,} of {len(hit.document.text.split()):,} words"
        print(f"  One call, with {words} of the document.\n")


if __name__ == "__main__":
    main()
