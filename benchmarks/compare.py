"""An index beside the usual pipelines, and beside words alone, on the same PDF files and questions.

    python benchmarks/compare.py DATA [--documents 10] [--words 300]

DATA has `pdf/`, and queries and evidence (pages counted from 0) as .jsonl.gz; the smallest files
with questions are taken. All use MiniLM from PyPI. The pipelines read pages with pypdf, as their
own loaders do, and split, embed and store as their documentation begins: LangChain with chunks of
1,000 characters in Chroma, LlamaIndex and Haystack with their defaults. Each side runs in a process
of its own. The prompt for a question is cut at so many words.
"""

from __future__ import annotations

import argparse
import inspect
import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import bytes_of, minilm, peak_bytes, timed
from samples import read_rows

MOST = 20
"""Chunks that a pipeline is asked for; the first of them fill the words."""


class Part(NamedTuple):
    """A text for the prompt, and where it is from; the page counts from 0."""

    document: str
    page: int
    text: str


Ask = Callable[[str, int], list[Part]]
"""From a question and a number of words to texts for the prompt."""


def longembed(files: Sequence[Path], folder: Path) -> Ask:
    """Index with this package."""
    from longembed_index import Index

    index = Index.open(folder / "store", minilm())
    index.add(*files)

    def ask(question: str, words: int) -> list[Part]:
        context = index.context(question, max_words=words)
        return [
            Part(Path(c.document_id).stem, (c.passage.page or 1) - 1 + number, page)
            for c in context.citations
            for number, page in enumerate(c.passage.text.split("\f"))
        ]

    return ask


def langchain(files: Sequence[Path], folder: Path) -> Ask:
    """Index chunks with LangChain and Chroma."""
    from langchain_chroma import Chroma
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    pages = [
        Document(text, metadata={"source": name, "page": page})
        for name, page, text in pypdf_pages(files)
    ]
    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
    embeddings = HuggingFaceEmbeddings(model_name=minilm())
    store = Chroma("chunks", embeddings, str(folder))
    store.add_documents(splitter.split_documents(pages))

    def ask(question: str, words: int) -> list[Part]:
        return [
            Part(found.metadata["source"], found.metadata["page"], found.page_content)
            for found in store.similarity_search(question, k=MOST)
        ]

    return ask


def llama_index(files: Sequence[Path], folder: Path) -> Ask:
    """Index chunks with LlamaIndex."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    pages = [
        Document(text=text, metadata={"source": name, "page": page})
        for name, page, text in pypdf_pages(files)
    ]
    index = VectorStoreIndex.from_documents(pages, embed_model=HuggingFaceEmbedding(minilm()))
    index.storage_context.persist(str(folder))
    retriever = index.as_retriever(similarity_top_k=MOST)

    def ask(question: str, words: int) -> list[Part]:
        return [
            Part(found.metadata["source"], found.metadata["page"], found.get_content())
            for found in retriever.retrieve(question)
        ]

    return ask


def haystack(files: Sequence[Path], folder: Path) -> Ask:
    """Index chunks with Haystack, and call the model directly."""
    from haystack import Document
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from sentence_transformers import SentenceTransformer

    pages = [
        Document(content=text, meta={"source": name, "page": page})
        for name, page, text in pypdf_pages(files)
    ]
    splitter, store, model = (
        DocumentSplitter(),
        InMemoryDocumentStore(),
        SentenceTransformer(minilm()),
    )
    splitter.warm_up()
    chunks = splitter.run(pages)["documents"]
    vectors = model.encode([chunk.content for chunk in chunks]).tolist()
    store.write_documents(
        [replace(chunk, embedding=vector) for chunk, vector in zip(chunks, vectors, strict=True)]
    )
    store.save_to_disk(str(folder / "store.json"))
    retriever = InMemoryEmbeddingRetriever(store, top_k=MOST)

    def ask(question: str, words: int) -> list[Part]:
        vector = model.encode(question).tolist()
        return [
            Part(found.meta["source"], found.meta["page"], found.content or "")
            for found in retriever.run(vector)["documents"]
        ]

    return ask


def words_alone(files: Sequence[Path], folder: Path) -> Ask:
    """Index the words of LangChain's chunks."""
    import bm25s
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(chunk_size=1_000, chunk_overlap=200)
    parts = [
        Part(name, page, chunk)
        for name, page, text in pypdf_pages(files)
        for chunk in splitter.split_text(text)
    ]
    texts, index = [part.text for part in parts], bm25s.BM25()
    index.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)
    index.save(str(folder), corpus=texts)

    def ask(question: str, words: int) -> list[Part]:
        tokens = bm25s.tokenize(question, show_progress=False)
        found, _ = index.retrieve(tokens, k=MOST, show_progress=False)
        return [parts[number] for number in found[0]]

    return ask


def pypdf_pages(files: Sequence[Path]) -> list[tuple[str, int, str]]:
    """Return name, number and text of the pages with a text."""
    from pypdf import PdfReader

    pages = [
        (file.stem, number, page.extract_text())
        for file in files
        for number, page in enumerate(PdfReader(file).pages)
    ]
    return [page for page in pages if page[2].strip()]


SIDES: dict[str, Callable[[Sequence[Path], Path], Ask]] = {
    "longembed-st": longembed,
    "LangChain, Chroma": langchain,
    "LlamaIndex": llama_index,
    "Haystack": haystack,
    "words alone (bm25s)": words_alone,
}


def main() -> None:
    """Measure and print a row of a table for each side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--documents", type=int, default=10)
    parser.add_argument("--words", type=int, default=300)
    arguments = parser.parse_args()
    files, questions = sample(arguments.data, arguments.documents)
    print(f"{len(files)} files, {len(questions)} questions, {arguments.words} words\n")
    print("| | lines | first file, s | all, s | query, ms | 95th | evidence, % | memory, MB | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for name, side in SIDES.items():
        with context.Pool(1) as pool:
            row = pool.apply(measure, (side, files, questions, arguments.words))
        print(f"| {name} | {lines_of(side)} | {' | '.join(row)} |", flush=True)


def sample(data: Path, count: int) -> tuple[list[Path], list[tuple[str, set[tuple[str, int]]]]]:
    """Return the smallest files with questions, and the questions with their pages."""
    evidence: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for row in read_rows(data, "evidence"):
        evidence[row["qid"]].add((row["doc_id"], row["page"]))
    asked = {document for pages in evidence.values() for document, _ in pages}
    files = [file for file in (data / "pdf").glob("*.pdf") if file.stem in asked]
    files = sorted(files, key=lambda file: file.stat().st_size)[:count]
    names = {file.stem for file in files}
    questions = [
        (row["text"], evidence[row["qid"]])
        for row in read_rows(data, "queries")
        if {document for document, _ in evidence.get(row["qid"], ())} & names
    ]
    return files, questions


def measure(
    side: Callable[[Sequence[Path], Path], Ask],
    files: Sequence[Path],
    questions: Sequence[tuple[str, set[tuple[str, int]]]],
    words: int,
) -> list[str]:
    """Return the cells of a row."""
    # With the first file, the libraries are imported and the model is loaded.
    with tempfile.TemporaryDirectory() as place:
        first, _ = timed(partial(side, files[:1], Path(place)))
    with tempfile.TemporaryDirectory() as place:
        seconds, ask = timed(partial(side, files, Path(place)))
        size = bytes_of(Path(place))
        taken, hits = [], []
        for question, pages in questions:
            began = time.perf_counter()
            parts = ask(question, words)
            taken.append(1_000 * (time.perf_counter() - began))
            hits.append(any((part.document, part.page) in pages for part in cut(parts, words)))
        return [
            f"{first:.0f}",
            f"{seconds:.0f}",
            f"{statistics.median(taken):.0f}",
            f"{np.percentile(taken, 95):.0f}",
            f"{100 * statistics.mean(hits):.0f}",
            f"{peak_bytes() / 1e6:,.0f}",
            f"{size / 1e6:.1f}",
        ]


def cut(parts: Sequence[Part], words: int) -> list[Part]:
    """Return the first parts that have so many words together, the last one cut."""
    kept = []
    for part in parts:
        text = part.text.split()[:words]
        words -= len(text)
        if text:
            kept.append(part)
    return kept


def lines_of(side: Callable[..., object]) -> int:
    """Return how many lines of code a side takes."""
    return sum(bool(line.strip()) for line in inspect.getsource(side).splitlines()[1:])


if __name__ == "__main__":
    main()
