"""Writers that are killed: each commit is there as a whole, or it is not."""

from __future__ import annotations

import pytest
from killed_writers import kill_writers


@pytest.mark.parametrize(("kills", "seed"), [(2, 1), pytest.param(60, 2, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_whole_commits(tmp_path, kills, seed) -> None:
    kill_writers(tmp_path / "store", "lancedb", kills, seed)
