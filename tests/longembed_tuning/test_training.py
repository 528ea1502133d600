"""What training changes, and what it does not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compare import difference
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from small_models import BERT_LIKE, ROBERTA_LIKE, text_of
from transformers import TrainerCallback

import longembed_st as le
from longembed_tuning.evaluation import HeldOut
from longembed_tuning.model import layout_of, load_base, trainable_model, tunable_table, tuned_model
from longembed_tuning.settings import TuningSettings
from longembed_tuning.sources import Example
from longembed_tuning.training import (
    as_dataset,
    last_checkpoint,
    prompts_by_column,
    train,
    training_arguments,
)

WINDOW, EXTENDED = 32, 128


@pytest.fixture(scope="module")
def examples(words):
    return [Example(words(5, ("q", i)), words(40, ("d", i)), (words(30, i),)) for i in range(64)]


@pytest.fixture(scope="module")
def held_out(words):
    return HeldOut([Example(words(5, ("h", i)), words(100, ("l", i))) for i in range(6)])


def settings(method="pi", **changes):
    recipe = {
        "max_seq_length": EXTENDED,
        "method": method,
        "batch_size": 16,
        "mini_batch_size": 8,
        "steps": 12,
        "warmup_steps": 2,
        "eval_steps": 4,
        **changes,
    }
    return TuningSettings(**recipe)


def start(folder, recipe):
    base = load_base(str(folder), None, {})
    layout = layout_of(base, recipe.method, recipe.max_seq_length)
    model = trainable_model(base, recipe.method, layout, WINDOW)
    return base, layout, model


def trained(folder, examples, held_out, tmp_path, recipe, callbacks=()):
    base, layout, model = start(folder, recipe)
    log = train(model, examples, held_out, recipe, layout, tmp_path / "run", callbacks=callbacks)
    return base, layout, model, log


def rows_of(model):
    return tunable_table(model).as_embedding().weight.detach()


@pytest.mark.parametrize(
    ("model_type", "method"),
    [
        *((name, "pi") for name in ("bert", "roberta", "mpnet")),
        ("bert", "rp"),
        *(
            pytest.param(name, "pi", marks=pytest.mark.slow)
            for name in (*BERT_LIKE[1:], *ROBERTA_LIKE[1:])
        ),
    ],
)
def test_only_added_rows_change_and_each_of_them(
    small_model, examples, tmp_path, model_type, method
):
    folder = small_model(model_type, positions=WINDOW)
    recipe = settings(method, mini_batch_size=16, steps=3)
    base, layout, model = start(folder, recipe)
    before = rows_of(model)
    train(model, examples, None, recipe, layout, tmp_path / "run")
    moved = (rows_of(model) != before).any(dim=1)

    first = 0 if model_type in BERT_LIKE else 2
    step = 4 if method == "pi" else 1
    expected = torch.ones(first + EXTENDED, dtype=torch.bool)
    expected[:first] = False
    for position in range(WINDOW):
        expected[first + position * step] = False
    assert torch.equal(moved, expected)

    own = dict(base.long_transformer.model.named_parameters())
    table = f"{base.long_transformer.family.position_table}.weight"
    tuned = dict(tuned_model(model, layout).long_transformer.model.named_parameters())
    assert own.keys() == tuned.keys()
    for name in own.keys() - {table}:
        assert torch.equal(own[name], tuned[name]), name
    kept = tuned[table][first : first + WINDOW * step : step]
    assert torch.equal(kept, own[table][first : first + WINDOW])


@pytest.mark.parametrize(
    ("model_type", "table", "method"),
    [
        # As MiniLM: the table has rows that the model does not read.
        ("bert", 2 * WINDOW, "pi"),
        ("roberta", WINDOW, "rp"),
    ],
)
def test_short_texts_keep_their_vectors_and_long_ones_do_not(
    small_model, examples, tmp_path, model_type, table, method
):
    folder = small_model(model_type, positions=table, limit=WINDOW)
    recipe = settings(method, learning_rate=0.05, mini_batch_size=16, steps=3, warmup_steps=1)
    base, layout, model = start(folder, recipe)
    train(model, examples, None, recipe, layout, tmp_path / "run")
    tuned = tuned_model(model, layout)
    tokenizer = base.long_transformer.text_tokenizer
    short = [text_of(n, tokenizer, seed) for n in (3, 17, WINDOW) for seed in (0, 1)]
    assert difference(tuned.encode(short), base.encode(short)) < 1e-6
    long = [text_of(n, tokenizer) for n in (WINDOW + 1, EXTENDED)]
    untuned = le.extend(base, method, max_seq_length=EXTENDED)
    assert difference(tuned.encode(long), untuned.encode(long)) > 1e-3


def test_without_a_step_the_model_reads_as_the_untuned_one(small_bert):
    for method in ("pi", "rp"):
        base, layout, model = start(small_bert, settings(method))
        untuned = le.extend(base, method, max_seq_length=EXTENDED)
        tokenizer = base.long_transformer.text_tokenizer
        texts = [text_of(n, tokenizer) for n in (5, WINDOW, WINDOW + 1, 100, EXTENDED)]
        tuned = tuned_model(model, layout)
        assert difference(tuned.encode(texts), untuned.encode(texts)) < 1e-6


def test_a_training_text_is_read_at_its_offset(small_bert, words):
    """The stock model with `position_ids` gives what the tuned rule gives, where both are known."""
    base, layout, model = start(small_bert, settings("rp"))
    text = words(20, 0)
    features = model.preprocess([text])
    features["position_ids"] = torch.arange(22).unsqueeze(0)
    vector = model(features)["sentence_embedding"]
    assert difference(vector[0], base.encode(text)) < 1e-6
    moved = model.preprocess([text])
    moved["position_ids"] = torch.arange(22).unsqueeze(0) + 7
    assert difference(model(moved)["sentence_embedding"][0], base.encode(text)) > 1e-3
    # Row 32 + i starts as a copy of row i.
    copied = model.preprocess([text])
    copied["position_ids"] = torch.arange(22).unsqueeze(0) + WINDOW
    assert difference(model(copied)["sentence_embedding"][0], base.encode(text)) < 1e-6
    assert layout.stride == 1


def test_the_recipe_reaches_the_trainer(tmp_path):
    model = SimpleNamespace(device=torch.device("cpu"))
    recipe = settings(seed=7, epochs=2.0, steps=None, learning_rate=0.1, warmup_steps=3)
    arguments = training_arguments(model, recipe, tmp_path, validates=False)
    assert (arguments.seed, arguments.num_train_epochs, arguments.max_steps) == (7, 2.0, -1)
    assert (arguments.learning_rate, arguments.warmup_steps) == (0.1, 3)
    assert (arguments.weight_decay, arguments.train_batch_size) == (0.01, 16)
    assert training_arguments(model, settings(), tmp_path, validates=False).max_steps == 12


def test_negatives_are_documents_too(small_model, examples):
    folder = small_model("bert", prompts={"query": "query: ", "document": "passage: "})
    columns = as_dataset(examples).column_names
    assert columns == ["query", "document", "negative_1"]
    model = SentenceTransformer(str(folder), device="cpu")
    assert prompts_by_column(model, columns) == {
        "query": "query: ",
        "document": "passage: ",
        "negative_1": "passage: ",
    }
    model.prompts = {"document": "passage: ", "query": ""}
    assert "query" not in prompts_by_column(model, columns)


class CutOff(TrainerCallback):
    """Ends the run as a kill would, between two steps."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    small_bert, examples, held_out, tmp_path
):
    """Dropout, the order and the offsets go on as if nothing had happened; one epoch is 4 steps."""
    recipe = settings(steps=8, eval_steps=3)
    _, _, whole, whole_log = trained(small_bert, examples, held_out, tmp_path / "whole", recipe)
    # Within the first epoch, and within the second, with the cut in the midst of what was resumed.
    for cut_at, kept in ((5, 3), (7, 6)):
        with pytest.raises(KeyboardInterrupt):
            trained(small_bert, examples, held_out, tmp_path / "cut", recipe, [CutOff(cut_at)])
        assert last_checkpoint(tmp_path / "cut" / "run").name == f"checkpoint-{kept}"
    _, _, resumed, log = trained(small_bert, examples, held_out, tmp_path / "cut", recipe)
    assert difference(rows_of(resumed), rows_of(whole)) < 1e-6
    losses = [[e["loss"] for e in found if "loss" in e] for found in (log, whole_log)]
    assert len(losses[0]) == 8
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_checkpoint_that_was_cut_off_is_passed_over(tmp_path):
    for step, state in ((4, '{"global_step": 4}'), (8, '{"global_st'), (12, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"
    assert last_checkpoint(tmp_path / "nowhere") is None


def test_checkpoints_hold_the_added_rows_alone(small_bert, examples, held_out, tmp_path):
    _, _, model, _ = trained(small_bert, examples, held_out, tmp_path, settings(steps=4))
    checkpoint = last_checkpoint(tmp_path / "run")
    saved = load_file(checkpoint / "added_rows.safetensors")
    assert torch.equal(saved["added"], tunable_table(model).added)
    assert saved["added"].shape == (EXTENDED - WINDOW, 32)
    assert not list(checkpoint.glob("*.bin")) + list(checkpoint.glob("model*"))


def test_training_stops_when_the_score_no_longer_rises(small_bert, examples, tmp_path, monkeypatch):
    scores = iter([0.5, 0.8, 0.7, 0.6, 0.9])
    rows = []

    def evaluate(self, model, *_, **__):
        rows.append(rows_of(model))
        return {"ndcg@10": next(scores)}

    monkeypatch.setattr("longembed_tuning.evaluation.TunedEvaluator.__call__", evaluate)
    recipe = settings(steps=100, eval_steps=2, patience=2)
    _, _, model, log = trained(small_bert, examples, HeldOut([]), tmp_path, recipe)
    assert max(entry["step"] for entry in log) == 8
    assert torch.equal(rows_of(model), rows[1])


def test_bfloat16_leaves_original_rows_and_the_dtype_alone(small_bert, examples, tmp_path):
    recipe = settings(steps=3, bf16=True)
    base, layout, model = start(small_bert, recipe)
    before = rows_of(model)
    train(model, examples, None, recipe, layout, tmp_path / "run")
    after = rows_of(model)
    assert after.dtype == torch.float32
    frozen = layout.original_rows()
    assert torch.equal(after[frozen], before[frozen])
    assert (after[~frozen] != before[~frozen]).any(dim=1).all()
    text = text_of(20, base.long_transformer.text_tokenizer)
    assert difference(tuned_model(model, layout).encode(text), base.encode(text)) < 1e-6
