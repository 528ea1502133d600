"""Where each model type keeps its positions."""

from __future__ import annotations

import pytest
import torch
from reference.plain import position_table
from sentence_transformers import SentenceTransformer
from small_models import config_of
from transformers import AutoModel, GPT2Config

import longembed_st as le
from longembed_st.positions.family import family_of


def test_the_table_and_its_first_position_are_those_that_the_model_uses():
    for model_type in ("bert", "distilbert", "roberta", "mpnet"):
        model = AutoModel.from_config(config_of(model_type, 64)).eval()
        family = le.families()[model_type]
        _, table = position_table(model)
        assert family.table(model) is table
        # Watch which row the model looks up for the first token of a text.
        rows = []
        table.register_forward_hook(lambda _, inputs, output, rows=rows: rows.append(inputs[0]))
        with torch.no_grad():
            model(torch.tensor([[5, 6, 7, 8]]))
        first = family.first_position(model)
        assert rows[0].flatten().tolist() == [first, first + 1, first + 2, first + 3]


def test_an_unknown_model_type_takes_windows_only(small_model):
    folder = str(small_model("gpt2", pooling="lasttoken"))
    for method in ("gp", "rp", "pi"):
        with pytest.raises(le.ModelError, match=rf"{method}.*gpt2.*take.*pcw") as refusal:
            le.load(folder, method=method, max_seq_length=128)
        accepted = str(refusal.value).rsplit("take", 1)[1]
        assert not {"gp", "rp", "pi"} & set(accepted.replace(",", " ").split())
    assert le.load(folder)[0].extension.method == "pcw"


def test_log_n_scaling_is_refused_where_the_attention_takes_none(small_model):
    with pytest.raises(le.ModelError, match=r"logn_scaling.*mpnet.*relative bias"):
        le.load(str(small_model("mpnet")), method="pi", logn_scaling=True)


def test_a_position_encoding_that_transformers_dropped_is_refused(small_model):
    scheme = "relative_key"
    stock = SentenceTransformer(str(small_model("bert")))
    stock[0].model.config.position_embedding_type = scheme
    for method in ("pcw", "pi", "none"):
        with pytest.raises(le.ModelError, match=scheme):
            le.extend(stock, method=method)


def test_what_is_unknown_offers_nothing():
    family = family_of(GPT2Config())
    assert family.encoding == "unknown"
    assert not family.capabilities
    assert family.table(AutoModel.from_config(config_of("gpt2", 8))) is None
