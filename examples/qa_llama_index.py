"""Answer questions from whole documents with LlamaIndex: the passages that answer, and no chunks.

Runs offline: the embedding model comes from a Python package, and in the place of a language model
stands one that repeats its prompt and counts its calls.

    python examples/qa_llama_index.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from installed_packages import QUESTIONS, indexed_packages, passage
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from llama_index.retrievers.longembed import LongEmbedRetriever


class Parrot(MockLLM):
    """Repeats its prompt; put your own model here."""

    calls: int = 0
    words: int = 0

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Repeat, and count."""
        self.calls += 1
        self.words += len(prompt.split())
        return super().complete(prompt, formatted, **kwargs)


def main() -> None:
    """Index, retrieve, answer."""
    with TemporaryDirectory() as folder:
        retriever = LongEmbedRetriever(indexed_packages(Path(folder) / "store"), k=1, passages=5)
        for question in QUESTIONS:
            model = Parrot()
            answer = RetrieverQueryEngine.from_args(retriever, llm=model).query(question)
            title = answer.source_nodes[0].metadata["title"]
            print(f"{question}\n  {title}: {passage(str(answer), question)}")
            print(f"  Calls of the language model: {model.calls}, with {model.words:,} words.\n")


if __name__ == "__main__":
    main()
