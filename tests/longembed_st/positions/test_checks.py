"""Models that must not be extended as they are."""

from __future__ import annotations

import shutil
from functools import partial

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from small_models import change_config, drop_weight

import longembed_st as le

LOST = "encoder.layer.1.output.dense.weight"


@pytest.fixture
def copied(small_model, tmp_path):
    def copy(model_type="bert", **settings):
        return shutil.copytree(small_model(model_type, **settings), tmp_path / "model")

    return copy


# Weights.


def test_a_checkpoint_with_a_weight_missing_is_refused_by_its_name(copied):
    folder = copied()
    drop_weight(folder, LOST)
    for method in ("pcw", "pi"):
        with pytest.raises(le.ModelError, match=LOST) as refusal:
            le.load(str(folder), method=method)
        assert str(folder) in str(refusal.value)


@pytest.mark.parametrize(
    "load", [le.load, partial(SentenceTransformer, trust_remote_code=True)], ids=["ours", "stock"]
)
def test_a_saved_extension_with_a_weight_missing_is_refused(small_model, tmp_path, load):
    folder = tmp_path / "saved"
    le.load(str(small_model("bert")), method="pi").save_pretrained(str(folder))
    drop_weight(folder, LOST)
    with pytest.raises(le.ModelError, match=LOST):
        load(str(folder))


def test_a_missing_pooler_is_no_loss(copied):
    folder = copied("roberta")
    for name in ("pooler.dense.weight", "pooler.dense.bias"):
        drop_weight(folder, name)
    before = SentenceTransformer(str(folder)).encode("ban")
    assert le.load(str(folder), method="pi").encode("ban") == pytest.approx(before, abs=1e-6)


def test_weights_of_another_architecture_are_refused(copied):
    folder = copied("bert")
    change_config(folder, model_type="distilbert", architectures=["DistilBertModel"], dim=32)
    with pytest.raises(le.ModelError, match=r"missing|architecture|size"):
        le.load(str(folder), method="pcw")


# What else a model may be.


def test_flash_attention_is_refused_for_positions_and_taken_for_windows(small_model):
    stock = SentenceTransformer(str(small_model("bert")))
    stock[0].model.config._attn_implementation_internal = "flash_attention_2"
    assert stock[0].model.config._attn_implementation == "flash_attention_2"
    for method in ("gp", "rp", "pi"):
        with pytest.raises(le.ModelError, match=r"flash_attention_2.*sdpa"):
            le.extend(stock, method=method, max_seq_length=128)
    assert le.extend(stock, method="pcw")[0].extension.method == "pcw"


def test_other_limits_are_refused(small_model):
    for setting, value in (
        ("query_length", 32),
        ("document_length", 32),
        ("processing_kwargs", {"text": {"max_length": 32}}),
    ):
        stock = SentenceTransformer(str(small_model("bert")))
        setattr(stock[0], setting, value)
        with pytest.raises(le.ModelError, match=setting):
            le.extend(stock, method="pcw")


def test_another_backend_is_refused(small_model):
    stock = SentenceTransformer(str(small_model("bert")))
    stock[0].backend = "onnx"
    with pytest.raises(le.ModelError, match=r"onnx.*[Bb]ake"):
        le.extend(stock, method="pi")


# The original window.


def test_the_original_window_is_what_the_model_reads_as_shipped(small_model):
    for model_type, settings, expected in (
        ("mpnet", {"positions": 128, "limit": 50}, 50),
        ("bert", {"positions": 64, "limit": 10**30}, 64),
        ("roberta", {"positions": 64, "limit": 512}, 64),
        ("gpt2", {"positions": 48, "limit": 64, "pooling": "lasttoken"}, 48),
    ):
        stock = SentenceTransformer(str(small_model(model_type, **settings)))
        extended = le.extend(stock, method="pcw")
        assert extended[0].extension.original_max_seq_length == expected, model_type


def test_a_limit_that_was_lowered_in_sentence_transformers_counts(small_model):
    stock = SentenceTransformer(str(small_model("bert")))
    stock.max_seq_length = 40
    assert le.extend(stock, method="pi")[0].extension.context == le.Context(40, 320)


def test_a_window_beyond_the_position_table_is_refused(small_model):
    folder = str(small_model("roberta", positions=64, limit=512))
    with pytest.raises(le.ConfigError, match=r"65.*64 positions"):
        le.load(folder, method="pcw", original_max_seq_length=65)


def test_a_model_that_states_no_window_asks_for_one(small_model):
    stock = SentenceTransformer(str(small_model("gpt2", pooling="lasttoken")))
    stock.tokenizer.model_max_length = 10**30
    stock[0].model.config.n_positions = -1  # As configurations without a limit say.
    with pytest.raises(le.ConfigError, match="original_max_seq_length"):
        le.extend(stock, method="pcw")
    assert le.extend(stock, method="pcw", original_max_seq_length=32).encode("ban").any()


def test_a_module_that_gives_no_token_embeddings_is_refused(small_model):
    stock = SentenceTransformer(str(small_model("bert")))
    assert isinstance(stock[0], Transformer)
    stock[0].module_output_name = "sentence_embedding"
    with pytest.raises(le.ModelError, match=r"sentence_embedding.*token embeddings"):
        le.extend(stock, method="pcw")
