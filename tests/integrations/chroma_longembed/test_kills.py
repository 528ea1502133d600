"""Runs killed past the thousandth record, where Chroma writes its vector files in place.

Half of the kills come at the very moment at which a vector file changes; the rest at any.
"""

from __future__ import annotations

import pytest
from store_steps import assert_whole, run_killed, step


@pytest.mark.slow
@pytest.mark.parametrize(("documents", "kills"), [(1200, 3), (2500, 200)])
def test_killed_again_and_again(tmp_path, documents, kills) -> None:
    place = tmp_path / "store"
    step(place, documents, "index", 0, 1)
    hits, damaged = run_killed(place, documents, kills, seed=1)
    print(f"{hits} of {kills} kills hit a run at work; {damaged} times vectors were lost")
    assert hits
    assert_whole(place, documents)
