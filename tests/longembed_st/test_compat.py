"""Private API of dependencies: each use, and whether it still does what it is used for."""

from __future__ import annotations

import inspect
import json
import logging
import shutil

import pytest
import torch
from class_models import KINDS, checkpoint
from compare import difference
from sentence_transformers import SentenceTransformer
from small_models import drop_weight
from transformers import AutoModel, AutoModelForMaskedLM

import longembed_st as le
from longembed_st import compat
from longembed_st.base.sharing import copy_sharing_weights

LOST = "encoder.layer.1.output.dense.weight"


def test_every_function_is_tested_here():
    functions = inspect.getmembers(compat, inspect.isfunction)
    ours = {name for name, function in functions if function.__module__ == compat.__name__}
    assert {name for name in ours if f"test_{name}" not in globals()} == set()


def test_weights_not_in_checkpoint(small_model, tmp_path):
    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    assert compat.weights_not_in_checkpoint(AutoModel.from_pretrained(folder)) == []
    drop_weight(folder, LOST)
    assert compat.weights_not_in_checkpoint(AutoModel.from_pretrained(folder)) == [LOST]


def test_head_alone():
    for kind in KINDS:
        model = AutoModelForMaskedLM.from_pretrained(checkpoint(kind, "mlm")).eval()
        ids = torch.tensor([[2, 9, 30, 41, 3], [2, 7, 12, 25, 3]])
        with torch.no_grad():
            expected = model(input_ids=ids).logits
            states = model.base_model(input_ids=ids).last_hidden_state
            head = compat.head_alone(model)
            logits = torch.cat([head(inputs_embeds=part).logits for part in states.split(2, 1)], 1)
            assert difference(logits, expected) < 1e-5, kind
            assert difference(model(input_ids=ids).logits, expected) < 1e-5, kind


def test_attention_implementation(small_model):
    model = AutoModel.from_pretrained(small_model("bert"), attn_implementation="eager")
    assert compat.attention_implementation(model.config) == "eager"
    model.set_attn_implementation("longembed")
    assert compat.attention_implementation(model.config) == "longembed"


def test_load_with_modules(small_model, tmp_path):
    folder = tmp_path / "saved"
    le.load(str(small_model("bert")), method="pi").save_pretrained(str(folder))
    kinds = [m["type"] for m in json.loads((folder / "modules.json").read_text())]
    assert kinds[:2] == ["longembed_st.LongTransformer", "longembed_st.PooledPasses"]

    class Ours(le.LongTransformer):
        pass

    classes = dict(zip(kinds, [Ours, le.PooledPasses], strict=False))
    model = compat.load_with_modules(SentenceTransformer, str(folder), classes, device="cpu")
    assert type(model) is SentenceTransformer
    assert type(model[0]) is Ours


def test_prompt_length(small_model):
    reader = le.load(str(small_model("mpnet")), method="pcw").long_transformer
    tokens = len(reader.tokenizer.tokenize("query banban: "))
    assert compat.prompt_length(reader, "query banban: ") == 1 + tokens


def test_fused_attention_on_cpu():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 9, 8) for _ in range(3))
    random = torch.zeros(9, 9).masked_fill(torch.rand(9, 9) < 0.3, float("-inf")).fill_diagonal_(0)
    later = torch.full((9, 9), float("-inf")).triu(1)
    # With a mask, the kernel is never asked to be causal too.
    for mask, causal in ((None, False), (None, True), (random, False)):
        hidden = later if causal else torch.zeros(9, 9) if mask is None else mask
        scores = 0.3 * query @ key.mT + hidden
        output, log_sum_exp = compat.fused_attention_on_cpu(query, key, value, 0.3, causal, mask)
        assert difference(output, scores.softmax(-1) @ value) < 1e-6
        assert difference(log_sum_exp, scores.logsumexp(-1)) < 1e-6


def test_weight_versions():
    model = torch.nn.Linear(4, 4)
    before = compat.weight_versions(model)
    assert compat.weight_versions(model) == before
    shared = copy_sharing_weights(model)
    with torch.no_grad():
        shared.weight[2, 2] += 1
    assert compat.weight_versions(model) != before
    with torch.inference_mode():
        compat.weight_versions(torch.nn.Linear(4, 4))


def test_without_half_precision_advice(small_model, tmp_path, caplog):
    """The advice is given by stock sentence-transformers, and other messages still come."""
    folder = str(tmp_path / "half")
    SentenceTransformer(str(small_model("bert")), device="cpu").to(torch.bfloat16).save(folder)
    logger = logging.getLogger("sentence_transformers.base.model")
    # It is given once a process.
    forget = logging.Logger.warning_once.cache_clear
    forget()
    with caplog.at_level(logging.WARNING):
        SentenceTransformer(folder, device="cpu")
        forget()
        assert "This model was loaded in" in caplog.text
        caplog.clear()
        with compat.without_half_precision_advice():
            SentenceTransformer(folder, device="cpu")
            logger.warning("another message")
        assert caplog.messages == ["another message"]


def test_is_shape_mismatch(small_model, tmp_path):
    folder = shutil.copytree(small_model("bert"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["intermediate_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(Exception, match="mismatch") as raised:
        AutoModel.from_pretrained(folder)
    assert compat.is_shape_mismatch(raised.value)
    assert not compat.is_shape_mismatch(ValueError("mismatch"))


def test_trainer_with_checkpoints(small_model, tmp_path):
    """A run that goes on begins with what the functions saved and loaded."""
    datasets = pytest.importorskip("datasets")
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import (
        SentenceTransformerTrainingArguments,
    )

    saved, loaded = [], []
    kind = compat.trainer_with_checkpoints(
        lambda model, folder: saved.append(folder), lambda model, folder: loaded.append(folder)
    )
    data = datasets.Dataset.from_dict({"query": ["ban", "bar"] * 4, "document": ["dim", "fel"] * 4})

    def train(steps, resume):
        model = SentenceTransformer(str(small_model("bert")), device="cpu")
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=steps,
            per_device_train_batch_size=2,
            save_steps=1,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
        )
        loss = MultipleNegativesRankingLoss(model)
        trainer = kind(model=model, args=arguments, train_dataset=data, loss=loss)
        trainer.train(resume_from_checkpoint=resume)

    train(1, None)
    checkpoint = tmp_path / "checkpoint-1"
    assert checkpoint in saved
    assert not loaded
    assert not (checkpoint / "README.md").exists()
    train(2, str(checkpoint))
    assert loaded == [checkpoint]
