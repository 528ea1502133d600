"""A store, and its words."""

from __future__ import annotations

from pathlib import Path

import pytest
from word_stores import TEXTS, store_of, updated

from longembed_index.lexical.index import WordIndex
from longembed_index.store.memory import MemoryStore


@pytest.fixture
def texts() -> dict[str, str]:
    return dict(TEXTS)


@pytest.fixture
def store(texts: dict[str, str]) -> MemoryStore:
    return store_of(texts)


@pytest.fixture
def words(tmp_path: Path, store: MemoryStore) -> WordIndex:
    return updated(tmp_path, store)
