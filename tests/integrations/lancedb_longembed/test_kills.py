"""Runs that are killed, half of them while a file changes: each write is there, or is not."""

from __future__ import annotations

import pytest
from store_steps import assert_whole, run_killed, step


@pytest.fixture(autouse=True)
def kind(monkeypatch) -> None:
    monkeypatch.setenv("STORE_KIND", "lancedb")


@pytest.mark.slow
@pytest.mark.parametrize(
    # 200 kills of a larger store in two, which two processes can share.
    ("documents", "kills", "seed"),
    [(200, 20, 1), (2500, 100, 2), (2500, 100, 3)],
)
def test_killed_again_and_again(tmp_path, documents, kills, seed) -> None:
    place = tmp_path / "store"
    step(place, documents, "index", 0, 1)
    assert list(place.glob("*.lance"))
    hits, damaged = run_killed(place, documents, kills, seed)
    print(f"{hits} of {kills} kills hit a run at work")
    assert hits
    assert not damaged
    assert_whole(place, documents)
