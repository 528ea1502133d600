"""LanceDB passes the tests of every store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lancedb_longembed.spans import LanceSpans
from lancedb_longembed.store import LanceStore
from lancedb_longembed.tables import connect
from longembed_index.testing import MADE_BY, StoreTests


class TestLanceStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path) -> LanceStore:
        self.place = str(tmp_path / "store")
        LanceStore.create(connect(self.place), "documents", MADE_BY)
        return LanceStore(connect(self.place), "documents")

    def spans(self, folder: Path) -> LanceSpans:
        return LanceSpans(self.place, "documents")

    def reopened(self, store: LanceStore) -> LanceStore:
        return LanceStore(connect(self.place), "documents")
