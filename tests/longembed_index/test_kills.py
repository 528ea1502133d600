"""What a killed run leaves behind answers like a fresh index; see `chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[1] / "chaos.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("sqlite", 5),
        pytest.param("sqlite", 1000, marks=pytest.mark.slow),
        pytest.param("lancedb", 100, marks=pytest.mark.slow),
        pytest.param("chroma", 100, marks=pytest.mark.slow),
    ],
)
def test_what_is_left_after_a_kill_answers_like_a_fresh_index(tmp_path, kind, kills) -> None:
    pytest.importorskip({"lancedb": "lancedb", "chroma": "chromadb"}.get(kind, "sqlite3"))
    command = [sys.executable, str(CHAOS), "--kind", kind, "--kills", str(kills)]
    path = {"PYTHONPATH": ":".join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "chaos")],
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-6000:]}"
    assert f'"killed": {kills}' in done.stdout
