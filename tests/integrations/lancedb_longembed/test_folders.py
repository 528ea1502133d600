from __future__ import annotations

import pytest

from lancedb_longembed.folders import LanceFolders
from longembed_index.testing import StoreKindTests


class TestLanceFolders(StoreKindTests):
    @pytest.fixture
    def kind(self) -> LanceFolders:
        return LanceFolders()
