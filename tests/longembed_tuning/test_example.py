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


@pytest.mark.parametrize("name", ["small", pytest.param("MiniLM", marks=pytest.mark.slow)])
def test_the_example_shows_the_scores_that_its_model_reached(
    name, tmp_path, monkeypatch, capsys, small_model, minilm_folder, sentences
):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    if name == "small":
        # Of the shape of MiniLM: half of its table is read.
        model = small_model("bert", positions=512, limit=256)
        monkeypatch.setattr("installed_packages.MODEL", str(model))
        # Its tokenizer takes English apart into letters.
        texts = {name: sentences(40, name) for name in ("pydantic", "rich", "typer")}
        monkeypatch.setattr("installed_packages.installed_packages", lambda names: texts.items())
    else:
        model = minilm_folder
    monkeypatch.setattr("longembed_tuning.data.MOST_HELD_OUT", 4)
    out = tmp_path / "tuned"
    arguments = ["--max-seq-length", "512", "--batch-size", "8", "--steps", "2", "--out", str(out)]
    arguments += ["--packages", "pydantic", "rich", "typer"]
    monkeypatch.setattr(sys, "argv", [EXAMPLE.name, *arguments])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown = capsys.readouterr().out
    record = json.loads((out / "tuning.json").read_text())
    assert record["model"] == str(model)
    assert record["counts"]["documents"] == 3
    for scores in record["scores"].values():
        assert f"{scores['ndcg']:.4f}" in shown
    tuned, stock = le.load(str(out)), SentenceTransformer(str(model), device="cpu")
    texts = ["a few words", "z " * 200, "z " * 254]
    assert difference(tuned.encode(texts), stock.encode(texts)) < 1e-6
    assert tuned.max_seq_length == 512
