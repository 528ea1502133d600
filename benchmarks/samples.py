"""Documents for the benchmarks of the index: parts of books, made-up texts, and their records."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from longembed_index.document import Document, Record, Units
from longembed_index.documents.folder import jsonl_rows
from longembed_index.lexical.index import WordIndex
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings

INFO = StoreInfo(Provenance(ModelSettings(model_name="none"), "none"), language="english")
"""What a store of vectors that no model has made is meant to hold."""

WIDTH = 384
"""Numbers of a made-up vector, as many as MiniLM's have."""


def read_texts(path: Path, longer_than: int = 0) -> list[str]:
    """Return the column `text` of a .jsonl or .jsonl.gz file, without texts that are too short."""
    texts = (row["text"] for _, row in jsonl_rows(path))
    return [text for text in texts if len(text) > longer_than]


def read_rows(folder: Path, name: str) -> list[dict[str, str]]:
    """Return the rows of NAME.jsonl or NAME.jsonl.gz in a folder."""
    (file,) = sorted(folder.glob(f"{name}.jsonl*"))[:1]
    return [row for _, row in jsonl_rows(file)]


def ndcg(scores: np.ndarray, right: np.ndarray) -> float:
    """Return the mean nDCG@10, in percent, of scores of shape (queries, documents)."""
    own = scores[np.arange(len(scores)), right]
    ranks = (scores > own[:, None]).sum(axis=1)
    return float(100 * np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


class Books:
    """Long texts from which parts are drawn at random.

    Args:
        path: A .jsonl or .jsonl.gz file with a column `text`.
        longest: The most characters of a part.
        seed: Of the choice.
    """

    def __init__(self, path: Path, longest: int, seed: int = 0) -> None:
        self._texts = read_texts(path, longer_than=2 * longest)
        self._random = random.Random(seed)

    def part(self, characters: int) -> str:
        """Draw a part of a book."""
        book = self._random.choice(self._texts)
        start = self._random.randrange(len(book) - characters)
        return book[start : start + characters]

    def ten_words(self) -> str:
        """Draw ten words that stand in a row."""
        return " ".join(self.part(200).split()[1:11])


def zipf_texts(count: int, words: int) -> Iterator[str]:
    """Yield texts of words drawn by Zipf's law, of 50,000 different ones."""
    letters, draw = random.Random(1), np.random.default_rng(1)
    vocabulary = [
        "".join(letters.choices("etaoinshrdlu", k=letters.randint(2, 10))) for _ in range(50_000)
    ]
    weights = 1 / np.arange(1, len(vocabulary) + 1)
    bounds = np.cumsum(weights / weights.sum())
    for _ in range(count):
        yield " ".join(vocabulary[n] for n in np.searchsorted(bounds, draw.random(words)))


def unit_vectors(draw: np.random.Generator, count: int) -> np.ndarray:
    """Return random unit vectors, shape (count, WIDTH)."""
    vectors = draw.standard_normal((count, WIDTH), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def record_of(
    document_id: str,
    text: str,
    vector: np.ndarray,
    units: np.ndarray | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Record:
    """Return a record; vectors of units are of equal parts of the text."""
    parts = None
    if units is not None:
        bounds = np.linspace(0, len(text), len(units) + 1).astype(np.int64)
        parts = Units(np.stack([bounds[:-1], bounds[1:]], axis=1), np.full(len(units), 20), units)
    document = Document(document_id, text, metadata or {})
    return Record(document, vector, f"hash of {document_id}", Coverage(1, 1, 1), parts)


def memory_store(texts: Mapping[str, str], language: str = "english") -> MemoryStore:
    """Return a store of texts by id, for what needs no vectors."""
    store = MemoryStore(replace(INFO, language=language))
    vector = np.ones(1, dtype=np.float32)
    store.write([record_of(key, text, vector) for key, text in texts.items()])
    return store


def word_index(
    folder: str | Path, texts: Mapping[str, str], language: str = "english"
) -> WordIndex:
    """Write the words of texts, by id, into a folder."""
    words = WordIndex(Path(folder), "documents")
    words.update(memory_store(texts, language))
    return words
