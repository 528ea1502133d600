from __future__ import annotations

import pytest

from longembed_index.store.conformance import INFO, StoreTests
from longembed_index.store.memory import MemoryStore


class TestMemoryStore(StoreTests):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(INFO)
