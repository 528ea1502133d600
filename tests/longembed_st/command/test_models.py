"""`longembed inspect` and `longembed bake`, from the command line to the files."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from class_models import late, pairs, splade
from command_line import longembed as run
from sentence_transformers import SentenceTransformer
from small_rotary_models import folder_of

import longembed_st as le


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def facts(*arguments: str | Path) -> dict:
    """What `longembed inspect` says in JSON."""
    result = run("inspect", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_inspect_tells_how_a_model_reads(minilm_folder: Path) -> None:
    shown = facts(minilm_folder)
    assert (shown["model_type"], shown["position_encoding"]) == ("bert", "absolute")
    assert (shown["original_max_seq_length"], shown["max_seq_length"]) == (256, None)
    assert (shown["parameters"], shown["embedding_dimension"]) == (22_713_216, 384)
    assert shown["method"] == "pcw"
    assert {"Amharic", "Khmer"} <= set(shown["unknown_languages"])
    assert {"Greek", "Russian"}.isdisjoint(shown["unknown_languages"])
    assert (shown["backend"], shown["dtype"]) == ("torch", "float32")
    assert set(shown["methods"]) == set(le.methods())
    taken = {name for name, method in shown["methods"].items() if method["takes"]}
    assert taken == {"none", "pcw", "gp", "rp", "pi"}, "it has no table of its own"


def test_inspect_takes_settings(minilm_folder: Path) -> None:
    pi = facts(minilm_folder, "--method", "pi", "--max-seq-length", "1024", "--length", "5000")
    assert (pi["method"], pi["max_seq_length"]) == ("pi", 1024)
    # What lies beyond the window costs nothing: it is not read.
    assert pi["costs"] == [{**pi["costs"][0], "tokens": 5000, "passes": 1}]
    pcw = facts(minilm_folder, "-o", "window_size=128", "--length", "5000")
    (text,) = le.coverage(
        le.load(str(minilm_folder), "pcw", window_size=128), ["word " * (5000 - 2)]
    )
    assert (text.tokens, text.passes) == (5000, pcw["costs"][0]["passes"])


def test_inspect_prints_everything_in_80_columns(minilm_folder: Path) -> None:
    result = run("inspect", minilm_folder)
    assert result.exit_code == 0, result.stderr
    shown = "".join(line.strip() for line in result.stdout.splitlines())
    assert str(minilm_folder) in shown
    assert "does not know" in shown
    assert "Khmer" in shown
    assert "…" not in result.stdout
    assert "no upper length" in result.stdout
    for name in le.methods():
        assert f" {name} " in result.stdout
    assert result.complaints == ""


@pytest.mark.parametrize(
    ("kind", "chosen", "options"),
    [("bert", "rp", ()), ("modernbert", "ntk", ()), ("bert", "pi", ("--method", "pi"))],
)
def test_bake_writes_a_plain_folder(small_model, tmp_path, kind, chosen, options) -> None:
    """By the method that was asked for, or else by one that can be baked."""
    folder = small_model(kind) if kind == "bert" else str(folder_of(kind))
    out = tmp_path / "plain"
    result = run("bake", folder, out, "--max-seq-length", "256", *options)
    assert result.exit_code == 0, result.stderr
    assert f"Wrote {out}" in result.stdout.replace("\n", "")
    notes = " ".join(result.stderr.split())
    assert (f"baking with {chosen}" in notes) == (options == ())
    # Baked, pi and ntk change short texts.
    assert ("Note:" in notes) == (chosen != "rp")
    text = " ".join(["ban"] * 200)
    extended = le.load(folder, chosen, max_seq_length=256).encode(text)
    assert np.allclose(SentenceTransformer(str(out)).encode(text), extended, atol=1e-5)


def test_save_writes_what_load_reads(small_model, tmp_path: Path) -> None:
    out = tmp_path / "long"
    result = run("save", small_model("bert"), out, "--method", "pcw", "--window-size", "32")
    assert result.exit_code == 0, result.stderr
    model = le.load(str(out))
    assert model.long_transformer.extension.method_options["window_size"] == 32
    again = run("save", small_model("bert"), out)
    assert (again.exit_code, "not an empty folder" in again.stderr) == (1, True)


def test_the_card_of_a_saved_model_is_true(small_model, tmp_path, monkeypatch) -> None:
    le.load(small_model("bert"), "pcw", prompts={"query": "ban "}).save_pretrained(
        str(tmp_path / "long")
    )
    card = (tmp_path / "long" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: sentence-transformers\n")
    for said in ("| original window | 64 tokens |", "no upper length", "pcw (", "'query': 'ban '"):
        assert said in card
    (snippet,) = (part.split("```")[0] for part in card.split("```python\n")[1:])
    namespace: dict = {}
    exec(snippet.replace("MODEL", str(tmp_path / "long")), namespace)
    assert namespace["vectors"].shape == (1, 32)
    le.load(small_model("bert"), "pcw").save(str(tmp_path / "bare"), create_model_card=False)
    assert not (tmp_path / "bare" / "README.md").exists()


def test_the_package_is_a_command(tmp_path) -> None:
    line = [sys.executable, "-m", "longembed_st", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == f"longembed-st {version('longembed-st')}\n"


def test_mistakes_end_in_one_line(small_model, tmp_path: Path) -> None:
    model, out = small_model("bert"), tmp_path / "out"
    for arguments, message in (
        (("inspect", model, "--length", "0"), "--length 0"),
        (("inspect", model, "--method", "nonsense"), "is not a method"),
        (("inspect", model, "-o", "window_size"), "window_size"),
        (("bake", model, out, "--method", "pcw"), "cannot be baked"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.complaints.strip().splitlines()
        assert line.startswith("Error: ")
        assert message in line
        assert not out.exists()


@pytest.mark.parametrize(
    ("build", "kind", "width"),
    [
        (splade, "SparseEncoder", True),
        (late, "MultiVectorEncoder", True),
        (pairs, "CrossEncoder", False),
    ],
)
def test_other_classes_are_inspected_and_saved(build, kind, width, tmp_path):
    shown = facts(build("bert"), "--length", "500")
    assert shown["class"] == kind
    assert (shown["embedding_dimension"] is not None) == width
    assert shown["costs"][0]["passes"] > 500 // 64
    assert shown["costs"][0]["seconds"] > 0
    ended = run("save", str(build("bert")), str(tmp_path / "saved"), "--window-size", "32")
    assert ended.exit_code == 0, ended.stderr
    again = le.load(tmp_path / "saved")
    assert again.model_type == kind
    assert again.long_transformer.extension.method_options["window_size"] == 32
    assert kind in run("inspect", str(tmp_path / "saved")).stdout
