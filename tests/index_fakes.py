"""Models, documents and stores that cost nothing, for tests of the index."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from longembed_index.document import Document, Record, Units
from longembed_index.documents.sources import TextSource
from longembed_index.errors import StoreError
from longembed_index.maintain.embedding import Embed, embedder_of
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.coverage import Coverage, Encoded, QueryVectors
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, InputError

DIMENSIONS = 256


@functools.cache
def _word_vector(word: str) -> np.ndarray:
    seed = hashlib.sha256(word.encode("utf-8", "replace")).digest()
    return np.random.default_rng(int.from_bytes(seed[:8], "little")).normal(size=DIMENSIONS)


class FakeModel:
    """Stands for a `CachedModel`: words are tokens, and texts with common words are similar.

    Args:
        settings: Models of one name (the last part of a path), method, window and whitening are
            equal.
        fails_at: A word that no vector can be made of.
        has_offsets: Whether it can make units.
    """

    def __init__(
        self, settings: ModelSettings | None = None, *, fails_at: str = "", has_offsets: bool = True
    ) -> None:
        self.settings = settings or ModelSettings(model_name="some/one")
        self.fails_at, self.has_offsets = fails_at, has_offsets
        name = Path(self.settings.model_name or "").name
        whitening = Path(self.settings.whitening or "").name
        parts = (name, self.settings.method, self.settings.max_seq_length, whitening)
        self.fingerprint = " ".join(str(part) for part in parts if part != "")
        self.long_transformer = SimpleNamespace(extension=self.settings)
        self.tokenizer = None
        self.calls: list[list[str]] = []

    @property
    def model(self) -> FakeModel:
        return self

    def get_embedding_dimension(self) -> int:
        return DIMENSIONS

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.settings, self.fingerprint)

    @property
    def embedded(self) -> list[str]:
        """All texts that were embedded, in order."""
        return [text for call in self.calls for text in call]

    def is_compatible(self, stored: Provenance) -> bool:
        return stored.fingerprint == self.fingerprint

    def refuse_incompatible(self, stored: Provenance, what: str) -> None:
        if not self.is_compatible(stored):
            raise ConfigError(f"{what} holds vectors that were made differently")

    def vector(self, text: str) -> np.ndarray:
        total = np.full(DIMENSIONS, 1e-3)
        for word in re.findall(r"\w+", text.lower())[: self.settings.max_seq_length]:
            total += _word_vector(word)
        # Another model has other vectors.
        total = np.roll(total, zlib.crc32(self.fingerprint.encode()) % DIMENSIONS)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def encode_with_coverage(self, texts: Sequence[str], *, role: str | None = None) -> Encoded:
        if role == "document":
            self.calls.append(list(texts))
        coverages = [self._coverage(text) for text in texts]
        return Encoded(np.stack([self.vector(text) for text in texts]), coverages)

    def encode_query_twice(self, text: str) -> QueryVectors:
        vector = self.vector(text)
        return QueryVectors(vector, vector, self._coverage(text))

    def encode_units(
        self, texts: Sequence[str], ranges: Sequence[Sequence[tuple[int, int]]]
    ) -> list[SimpleNamespace]:
        encoded = self.encode_with_coverage(texts, role="document")
        return [
            SimpleNamespace(
                ranges=np.array(own, dtype=np.int64).reshape(-1, 2),
                vectors=2 * np.stack([self.vector(text[start:end]) for start, end in own]),
                counts=np.array([len(text[start:end].split()) for start, end in own]),
                document=vector,
                coverage=coverage,
            )
            for text, own, vector, coverage in zip(
                texts, ranges, encoded.vectors, encoded.coverages, strict=True
            )
        ]

    def _coverage(self, text: str) -> Coverage:
        if self.fails_at and self.fails_at in text:
            raise InputError("no vector for this one")
        tokens, limit = len(text.split()), self.settings.max_seq_length
        read = min(tokens, limit or tokens)
        if self.settings.on_overflow == "error" and read < tokens:
            raise InputError(f"a text of {tokens} words is longer than the window of {read}")
        return Coverage(tokens, read, 1 + read // 100, unknown=text.split()[:read].count("[UNK]"))


def use_fake_models(patch: pytest.MonkeyPatch | None = None) -> dict[str, FakeModel]:
    """Let every model that an index loads be a `FakeModel`, and return these by fingerprint.

    Args:
        patch: Undoes it; None in a process of its own.
    """
    loaded: dict[str, FakeModel] = {}

    def cached_model(settings: ModelSettings) -> FakeModel:
        fake = FakeModel(settings)
        known = loaded.get(fake.fingerprint)
        if known is None or known.settings.model_name != settings.model_name:
            known = loaded[fake.fingerprint] = fake
        return known

    # Torch is not even imported.
    module: Any = SimpleNamespace(cached_model=cached_model)
    (patch or pytest.MonkeyPatch()).setitem(sys.modules, "longembed_st.loading.cache", module)
    return loaded


def embed_with(model: FakeModel, *, units: bool = False) -> Embed:
    return embedder_of(model, units)  # type: ignore[arg-type]


class LossyStore(MemoryStore):
    """Loses everything that is written to it."""

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        pass


class CutStore(MemoryStore):
    """Notes the size of each commit; after so many commits it is cut off."""

    def __init__(self, info: StoreInfo, commits: float = float("inf")) -> None:
        super().__init__(info)
        self.sizes: list[int] = []
        self.left = commits

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        if not self.left:
            raise StoreError("cut off")
        self.left -= 1
        super().write(records, delete)
        self.sizes.append(len(records))


def sources(**texts: str) -> list[TextSource]:
    """Return documents whose ids are the names of the arguments."""
    return [TextSource(Document(name, text)) for name, text in texts.items()]


def records_of(store: MemoryStore) -> dict[str, Record]:
    """Return all records of a store by id, with their units."""
    return dict(store._records)


def texts_of(store: MemoryStore) -> dict[str, str]:
    """Return all texts of a store by id."""
    return {key: record.document.text for key, record in store._records.items()}


def record(
    document_id: str,
    text: str,
    vector: Sequence[float],
    units: Sequence[tuple[int, int, Sequence[float]]] = (),
    **metadata: object,
) -> Record:
    """Return a record; units are start, end and vector."""
    parts = None
    if units:
        ranges = np.array([(start, end) for start, end, _ in units])
        vectors = np.array([vector for _, _, vector in units], dtype=np.float32)
        parts = Units(ranges, np.ones(len(units), dtype=np.int64), vectors)
    own = np.asarray(vector, dtype=np.float32)
    tokens = len(text.split())
    document = Document(document_id, text, metadata)
    return Record(document, own, f"hash of {text}", Coverage(tokens, tokens, 1), parts)
