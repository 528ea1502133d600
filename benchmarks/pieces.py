"""What contexts are compared with: chunks, and windows of whole sentence units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import bm25s
import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from measure import reciprocal_ranks

from longembed_bench.evaluate import Part
from longembed_index.index import Index
from longembed_index.lexical.analyzer import get_analyzer

OLD_WEIGHT = 0.4
"""Of the vectors, in the version that searched by windows."""

MOST = 50
"""More pieces than the largest budget holds."""


class Pieces:
    """Chunks or windows of all documents, ranked by vectors and by BM25."""

    def __init__(self, texts: dict[str, str], parts: list[Part], vectors: np.ndarray) -> None:
        self.parts = parts
        self.owners = np.array([part.document_id for part in parts])
        self.vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        self.bm25 = bm25s.BM25()
        tokens = [terms(texts[part.document_id][part.start : part.end]) for part in parts]
        self.bm25.index(tokens, show_progress=False)

    def ranked(
        self,
        question: str,
        vector: np.ndarray,
        document: str | None,
        fuse: Callable[..., np.ndarray],
    ) -> Iterator[Part]:
        """Yield the best pieces, of one document if it is given."""
        rows = np.arange(len(self.parts))
        if document is not None:
            rows = rows[self.owners == document]
        known = [term for term in terms(question) if term in self.bm25.vocab_dict]
        words = self.bm25.get_scores(known) if known else np.zeros(len(self.parts))
        scores = fuse(words[rows], self.vectors[rows] @ vector)
        best = np.argsort(-scores, kind="stable")[:MOST]
        yield from (self.parts[row] for row in rows[best])


def terms(text: str) -> list[str]:
    """Return the terms of an English text."""
    return list(get_analyzer("english").tokens(text).scoring())


def chunks_of(index: Index, texts: dict[str, str], keep: Path) -> Pieces:
    """Return LangChain's chunks."""
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=1_000, chunk_overlap=200, add_start_index=True
    )
    parts, contents = [], []
    for key, text in texts.items():
        for chunk in splitter.create_documents([text]):
            start = chunk.metadata["start_index"]
            parts.append(Part(key, start, start + len(chunk.page_content)))
            contents.append(chunk.page_content)
    file = keep / "chunks.npy"
    if not file.exists():
        np.save(file, np.asarray(index.model.model.encode_document(contents)))
    return Pieces(texts, parts, np.load(file))


def windows_of(index: Index, texts: dict[str, str], size: int) -> Pieces:
    """Return windows of so many tokens, made of whole sentence units."""
    parts, vectors = [], []
    with index.writing() as store:
        stored = list(store.units())
    for key, units in stored:
        windows = (np.cumsum(units.counts) - 1) // size
        for number in np.unique(windows):
            rows = windows == number
            own = units.ranges[rows]
            parts.append(Part(key, int(own[0, 0]), int(own[-1, 1])))
            vectors.append((units.counts[rows][:, None] * units.vectors[rows]).sum(axis=0))
    return Pieces(texts, parts, np.array(vectors))


def fuse_shares(words: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Return the weighted sum that earlier versions made."""
    return (1 - OLD_WEIGHT) * words / (words.max() or 1) + OLD_WEIGHT * cosines


FUSIONS: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "windows, words and vectors (before)": ("windows", fuse_shares),
    "chunks, vectors": ("chunks", lambda words, cosines: cosines),
    "chunks, BM25": ("chunks", lambda words, cosines: words),
    "chunks, reciprocal ranks": (
        "chunks",
        lambda words, cosines: (
            reciprocal_ranks(words[None])[0] + reciprocal_ranks(cosines[None])[0]
        ),
    ),
}
