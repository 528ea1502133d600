"""Whole runs, from a model's name to the tuned checkpoint."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import small_rotary_models
import torch
from compare import difference
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from small_models import text_of
from transformers import TrainerCallback

import longembed_st as le
from longembed_tuning.settings import TuningSettings
from longembed_tuning.tuning import kept_step, tune

pytestmark = pytest.mark.usefixtures("without_pictures")

TABLE = "embeddings.position_embeddings.weight"
PROMPTS = {"query": "query: ", "document": "passage: "}


def settings(**changes):
    recipe = {
        "max_seq_length": 128,
        "batch_size": 16,
        "mini_batch_size": 16,
        "steps": 4,
        "warmup_steps": 1,
        "eval_steps": 2,
        "learning_rate": 0.01,
        **changes,
    }
    return TuningSettings(**recipe)


def same_weights(first: Path, second: Path) -> bool:
    """Up to rounding."""
    weights = [load_file(folder / "model.safetensors") for folder in (first, second)]
    return weights[0].keys() == weights[1].keys() and all(
        torch.allclose(weights[0][name], weights[1][name], atol=1e-5) for name in weights[0]
    )


@pytest.fixture(scope="module")
def tuned(small_bert, pairs, tmp_path_factory):
    """A finished run, its pictures drawn: its record and its folder."""
    out = tmp_path_factory.mktemp("run") / "tuned"
    return tune(small_bert, pairs, out, settings(), prompts=PROMPTS), out


def test_a_tuned_model_is_loaded_like_any_other(tuned, small_bert):
    record, out = tuned
    assert [path.name for path in out.parent.iterdir()] == ["tuned"], "nothing unfinished is left"
    model = le.load(str(out))
    extension = model.long_transformer.extension
    assert (extension.method, extension.method_options) == ("table", {"stride": 4})
    assert (extension.original_max_seq_length, extension.max_seq_length) == (32, 128)
    assert model.prompts == PROMPTS
    assert le.fingerprint(model) == record.fingerprint
    stock = SentenceTransformer(str(out), trust_remote_code=True, device="cpu")
    base = SentenceTransformer(small_bert, device="cpu")
    tokenizer = model.long_transformer.text_tokenizer
    short = [text_of(n, tokenizer) for n in (4, 20, 32)]
    long = [text_of(n, tokenizer) for n in (33, 128)]
    for found in (model, stock):
        assert difference(found.encode(short), base.encode(short)) < 1e-6
    assert difference(model.encode(long), stock.encode(long)) < 1e-6


def test_the_files_hold_every_original_weight_to_the_bit(tuned, small_bert):
    _, out = tuned
    own = load_file(Path(small_bert, "model.safetensors"))
    written = load_file(out / "model.safetensors")
    assert own.keys() == written.keys()
    for name in own.keys() - {TABLE}:
        assert torch.equal(own[name], written[name]), name
    assert torch.equal(written[TABLE][::4], own[TABLE])
    assert json.loads((out / "config.json").read_text())["max_position_embeddings"] == 128


def test_a_baked_tuned_model_keeps_the_table_and_says_what_it_loses(tuned, tmp_path, small_bert):
    _, out = tuned
    model = le.load(str(out))
    with pytest.warns(le.ShortTextsChangeWarning, match="other vectors"):
        le.bake(model, tmp_path / "plain")
    plain = SentenceTransformer(str(tmp_path / "plain"), device="cpu")
    tokenizer = model.long_transformer.text_tokenizer
    long, short = text_of(100, tokenizer), text_of(20, tokenizer)
    assert difference(plain.encode(long), model.encode(long)) < 1e-6
    assert difference(plain.encode(short), model.encode(short)) > 1e-3
    assert "do not mix the two" in (tmp_path / "plain" / "README.md").read_text()


def test_a_baked_model_tuned_on_rp_keeps_short_texts(small_bert, pairs, tmp_path):
    recipe = settings(method="rp", steps=2, validate_held_out=False)
    tune(small_bert, pairs, tmp_path / "tuned", recipe)
    model = le.load(str(tmp_path / "tuned"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", le.ShortTextsChangeWarning)
        le.bake(model, tmp_path / "plain")
    plain = SentenceTransformer(str(tmp_path / "plain"), device="cpu")
    base = SentenceTransformer(small_bert, device="cpu")
    text = text_of(32, model.long_transformer.text_tokenizer)
    assert difference(plain.encode(text), base.encode(text)) < 1e-6


def test_the_card_and_the_record_say_what_was_done(tuned):
    record, out = tuned
    card = (out / "README.md").read_text()
    facts = json.loads((out / "tuning.json").read_text())
    assert set(facts["scores"]) == {"none", "pi", "rp", "tuned"}
    assert facts["fingerprint"] == record.fingerprint
    assert facts["settings"]["batch_size"] == 16
    assert sum("loss" in entry for entry in facts["log"]) == 4
    assert "32 to 128 tokens" in card
    assert record.fingerprint in card
    assert "| batch_size | 16 |" in card
    assert "| held-out documents | 2 |" in card
    for name, scores in record.scores.items():
        assert f"| {name} | {scores.ndcg:.4f} | {scores.accuracy:.4f} |" in card
    assert (out / "loss.png").stat().st_size > 1000


class CutOff(TrainerCallback):
    """Ends the run as a kill would, after its first checkpoint."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt


@pytest.fixture
def cut_off(small_bert, write_pairs, tmp_path):
    """What to call with `resume` to finish the run of `tuned`, which was cut off here."""
    arguments = (small_bert, str(write_pairs()), tmp_path / "tuned")
    with pytest.raises(KeyboardInterrupt):
        tune(*arguments, settings(), prompts=PROMPTS, callbacks=[CutOff()])
    return arguments


def test_a_run_that_was_cut_off_is_resumed_to_the_same_model(cut_off, tuned, write_pairs):
    *_, out = cut_off
    assert not out.exists()
    with pytest.raises(
        le.ConfigError, match=r"tuned\.unfinished holds an unfinished run.*--resume"
    ):
        tune(*cut_off, settings(), prompts=PROMPTS)
    # It is only resumed with what it was started with.
    changed = settings(learning_rate=0.1, temperature=0.5)
    with pytest.raises(le.ConfigError, match="other values of learning_rate, temperature:"):
        tune(*cut_off, changed, prompts=PROMPTS, resume=True)
    write_pairs(short=50)
    with pytest.raises(le.ConfigError, match="other values of data:"):
        tune(*cut_off, settings(), prompts=PROMPTS, resume=True)
    write_pairs()
    record = tune(*cut_off, settings(), prompts=PROMPTS, resume=True)
    whole, folder = tuned
    assert same_weights(out, folder)
    assert record.scores["tuned"].ndcg == pytest.approx(whole.scores["tuned"].ndcg, abs=1e-3)
    assert record.steps == 4
    assert not out.with_name("tuned.unfinished").exists()


def test_a_wrong_folder_is_refused(tuned, small_bert, pairs, tmp_path):
    _, out = tuned
    with pytest.raises(le.ConfigError, match="not an empty folder"):
        tune("no/such-model", "no data", out, settings())  # Before anything is done.
    with pytest.raises(le.ConfigError, match="no unfinished run"):
        tune(small_bert, pairs, tmp_path / "tuned", settings(), resume=True)


def test_models_without_position_vectors_to_add_to_are_refused(tuned, pairs, tmp_path):
    _, out = tuned
    for model, reason in (
        (small_rotary_models.folder_of("t5"), "'t5' has relative positions"),
        (
            small_rotary_models.folder_of("nomic_bert"),
            r"rotary positions.*no position vectors.*'ntk' or 'self_extend'",
        ),
        (out, "can only be read with method 'table'"),
    ):
        with pytest.raises(le.ModelError, match=reason):
            tune(str(model), pairs, tmp_path / "tuned", settings())


def test_settings_that_do_not_fit_are_refused(small_bert, pairs, tmp_path):
    for changes, message in (
        ({"max_seq_length": 32}, "adds no position"),
        ({"train_seq_length": 129}, "more than the extended window of 128"),
        ({"batch_size": 512}, "batch_size=512 needs as many training pairs, and there are 58"),
        ({"warmup_steps": 4}, "leaves none of the 4 steps"),
        # 58 pairs are three batches of 16.
        ({"warmup_steps": 6, "steps": None, "epochs": 2.0}, "leaves none of the 6 steps"),
        ({"original_max_seq_length": 64}, "original_max_seq_length=64"),
    ):
        with pytest.raises(le.LongEmbedError, match=message):
            tune(small_bert, pairs, tmp_path / "tuned", settings(**changes))
        assert list(tmp_path.iterdir()) == []


def test_settings_out_of_range_are_refused_in_one_line():
    bad = {"method": "gp", "learning_rate": float("nan"), "batch_size": 1, "steps": 0, "unknown": 1}
    for name, value in bad.items():
        with pytest.raises(le.ConfigError, match=name) as caught:
            settings(**{name: value})
        assert "\n" not in str(caught.value)


def test_the_recipe_of_the_paper_is_the_default():
    recipe = TuningSettings(max_seq_length=4096)
    assert recipe.method == "pi"
    assert (recipe.batch_size, recipe.learning_rate, recipe.warmup_steps) == (512, 5e-4, 100)
    assert (recipe.temperature, recipe.epochs) == (0.01, 3.0)


def test_the_step_kept_is_the_one_that_scored_best():
    log = [{"step": 1, "loss": 1.0}, {"step": 2, "eval_ndcg@10": 0.4}]
    log += [{"step": 4, "eval_ndcg@10": 0.6}, {"step": 6, "eval_ndcg@10": 0.5}]
    assert kept_step(log) == (4, 6)
    assert kept_step(log[:1]) == (1, 1)


RUN = """
import os, signal, sys
from transformers import TrainerCallback
from longembed_tuning.settings import TuningSettings
from longembed_tuning.tuning import tune

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

model, source, out, kill, resume = sys.argv[1:]
recipe = TuningSettings(max_seq_length=128, batch_size=16, mini_batch_size=4, steps=10,
                        warmup_steps=1, eval_steps=5, patience=100)
tune(model, source, out, recipe, resume=bool(resume), callbacks=[Kill()] if kill else [])
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed_to_the_same_model(small_bert, pairs, tmp_path):
    def run(name, kill="", resume=""):
        command = [sys.executable, "-c", RUN, small_bert, pairs, str(tmp_path / name), kill, resume]
        return subprocess.run(command).returncode

    assert run("killed", kill="yes") == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    assert [path.name for path in (tmp_path / "killed.unfinished").glob("checkpoint-*")]
    assert run("killed", resume="yes") == 0
    assert run("whole") == 0
    assert same_weights(tmp_path / "killed", tmp_path / "whole")
