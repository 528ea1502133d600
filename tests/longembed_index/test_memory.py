from __future__ import annotations

import pytest

from longembed_index.memory import MemoryStore
from longembed_index.testing import MADE_BY, StoreTests


class TestMemoryStore(StoreTests):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore(MADE_BY)
