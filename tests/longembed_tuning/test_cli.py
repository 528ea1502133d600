"""The command `longembed tune`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import longembed
from fresh_process import run_fresh

import longembed_st as le

pytestmark = pytest.mark.usefixtures("without_pictures")

SMALL = [
    *("--max-seq-length", "128", "--batch-size", "16"),
    *("--steps", "2", "--warmup-steps", "0", "--eval-steps", "1"),
]


def run(*arguments):
    return longembed("tune", *arguments)


def test_a_model_is_tuned_and_its_scores_are_shown(small_bert, pairs, tmp_path):
    out = tmp_path / "tuned"
    done = run(small_bert, "--data", pairs, "--out", out, *SMALL, "--method", "rp")
    assert done.exit_code == 0, done.output
    shown = json.loads((out / "tuning.json").read_text())["scores"]
    for scores in shown.values():
        assert f"{scores['ndcg']:.4f}" in done.output
    assert "training pairs" in done.output
    assert le.load(str(out)).long_transformer.extension.method_options == {"stride": 1}


def test_flags_reach_the_recipe(small_bert, pairs, tmp_path):
    out = tmp_path / "tuned"
    shown = run("--help").output
    flags = {
        "--mini-batch-size": 4,
        "--learning-rate": 0.002,
        "--warmup-steps": 1,
        "--temperature": 0.05,
        "--seed": 3,
        "--train-seq-length": 16,
        "--original-max-seq-length": 26,
        "--patience": 2,
        "--epochs": 2.0,
    }
    named = [part for pair in flags.items() for part in pair]
    switches = ["--bf16", "--no-validation", "--query-prompt", "query: "]
    done = run(small_bert, "--data", pairs, "--out", out, *SMALL, *named, *switches)
    assert done.exit_code == 0, done.output
    settings = json.loads((out / "tuning.json").read_text())["settings"]
    for flag, value in flags.items():
        assert flag in shown
        assert settings[flag.strip("-").replace("-", "_")] == value
    assert settings["bf16"] is True
    assert settings["validate_held_out"] is False
    assert le.load(str(out)).prompts["query"] == "query: "


def test_mistakes_end_in_errors_of_our_own(small_bert, pairs, tmp_path):
    source, out = pairs, tmp_path / "tuned"
    with_validation = ("--no-validation", "--validation-data", source)
    for arguments, message in (
        ((small_bert, "--data", tmp_path / "no.jsonl", "--out", out, *SMALL), "does not exist"),
        ((small_bert, "--data", source, "--out", Path(source).parent, *SMALL), "not an empty"),
        ((small_bert, "--data", source, "--out", out, *SMALL, "--method", "gp"), "method='gp'"),
        ((small_bert, "--data", source, "--out", out, *SMALL, *with_validation), "contradict"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert done.complaints.startswith("Error: ")
        assert message in done.stderr


def test_the_command_imports_nothing_heavy(tmp_path):
    code = """
    import sys
    import longembed_tuning.cli
    answer(sorted({"torch", "transformers", "datasets", "matplotlib"} & sys.modules.keys()))
    """
    assert run_fresh(code, tmp_path) == []
