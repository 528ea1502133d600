"""Runs that are killed, half of them while a file changes: each write is there, or is not."""

from __future__ import annotations

import pytest
from store_steps import assert_whole, run_killed, step


@pytest.fixture(autouse=True)
def kind(monkeypatch) -> None:
    monkeypatch.setenv("STORE_KIND", "lancedb")


@pytest.mark.slow
@pytest.mark.parametrize(("documents", "kills"), [(200, 20), (2500, 200)])
def test_killed_again_and_again(tmp_path, documents, kills) -> None:
    place = tmp_path / "store"
    step(place, documents, "index", 0, 1)
    assert list(place.glob("*.lance"))
    hits, damaged = run_killed(place, documents, kills, seed=1)
    print(f"{hits} of {kills} kills hit a run at work")
    assert hits
    assert not damaged
    assert_whole(place, documents)
