"""One hash over everything that changes a vector."""

from __future__ import annotations

import re

import pytest
import torch
from sentence_transformers import SentenceTransformer
from small_models import text_of
from torch import nn

import longembed_st as le

PROMPTS = {"query": "query: ", "document": "passage: "}
PI = {"method": "pi", "max_seq_length": 256}


@pytest.fixture(scope="module")
def folder(small_model):
    return str(small_model("bert", prompts=PROMPTS))


@pytest.fixture(scope="module")
def plain(folder):
    return le.fingerprint(le.load(folder, **PI))


def test_settings_that_change_no_vector_do_not_change_it(folder, plain):
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", plain)
    settings = {"on_overflow": "truncate", "token_budget": 77, "device": "cpu"}
    eager = {"attn_implementation": "eager"}
    assert le.fingerprint(le.load(folder, **PI, **settings, model_kwargs=eager)) == plain


def test_settings_that_change_a_vector_change_it(folder, plain):
    changes = [
        {"method": "gp", "max_seq_length": 256},
        {"method": "pi", "max_seq_length": 300},
        {**PI, "factor": "dynamic"},
        {**PI, "logn_scaling": True},
        {**PI, "original_max_seq_length": 60},
        {"method": "pcw", "window_size": 32},
        {"method": "pcw", "overlap": 8},
        {**PI, "truncate_dim": 8},
        {**PI, "prompts": {"query": "title: "}},
        {**PI, "model_kwargs": {"dtype": torch.bfloat16}},
    ]
    fingerprints = {str(each): le.fingerprint(le.load(folder, **each)) for each in changes}
    assert len({plain, *fingerprints.values()}) == len(changes) + 1, fingerprints


def test_other_models_have_other_fingerprints(small_model, plain):
    changes = [
        {"seed": 1},
        {"pooling": "cls"},
        {"include_prompt": False},
        {"normalize": False},
        {"layer_norm_eps": 1e-3},
    ]
    folders = {str(each): small_model("bert", prompts=PROMPTS, **each) for each in changes}
    fingerprints = {name: le.fingerprint(le.load(f, **PI)) for name, f in folders.items()}
    assert len({plain, *fingerprints.values()}) == len(changes) + 1, fingerprints


def change_weight(model):
    with torch.no_grad():
        weight = model[0].model.encoder.layer[1].output.dense.weight
        weight[3, 3] = torch.nextafter(weight[3, 3], torch.tensor(9.0))


def change_vocabulary(model):
    model.tokenizer.add_tokens(["brandnew"])


def change_normalizer(model):
    model.tokenizer.backend_tokenizer.normalizer = None


def change_truncation_side(model):
    model.tokenizer.truncation_side = "left"


def test_a_change_inside_the_model_changes_it(folder, plain):
    for change in (change_weight, change_vocabulary, change_normalizer, change_truncation_side):
        stock = SentenceTransformer(folder)
        change(stock)
        assert le.fingerprint(le.extend(stock, **PI)) != plain, change.__name__


def test_using_a_model_does_not_change_it(folder, plain):
    stock = SentenceTransformer(folder)
    stock.encode(["ban", text_of(60, stock.tokenizer)])
    model = le.extend(stock, on_overflow="truncate", **PI)
    assert le.fingerprint(model) == plain
    model.encode(["ban", text_of(300, stock.tokenizer)])
    le.coverage(model, ["ban"])
    assert le.fingerprint(model) == plain


def test_load_and_extend_agree(folder, plain):
    model = le.extend(le.extend(SentenceTransformer(folder), method="gp"), **PI)
    assert le.fingerprint(model) == plain


def test_a_number_among_the_weights_is_hashed_too(folder):
    model = le.load(folder, **PI)
    model.append(nn.BatchNorm1d(32))  # Counts its batches in a tensor without dimensions.
    before = le.fingerprint(model)
    model[-1].num_batches_tracked += 1
    assert le.fingerprint(model) != before


class AdaptedLinear(nn.Module):
    """A linear layer with adapters, with the public attributes of PEFT's layers."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base_layer
        width = base_layer.in_features
        self.lora_A = nn.ModuleDict({name: nn.Linear(width, 2, bias=False) for name in "ab"})
        self.lora_B = nn.ModuleDict({name: nn.Linear(2, width, bias=False) for name in "ab"})
        self.scaling = {"a": 2.0, "b": 2.0}
        self.active_adapters, self.merged_adapters = ["a"], []
        self.disable_adapters = False

    def forward(self, values):
        result = self.base_layer(values)
        if not self.disable_adapters and not self.merged_adapters:
            for name in self.active_adapters:
                result = result + self.lora_B[name](self.lora_A[name](values)) * self.scaling[name]
        return result


@pytest.fixture
def adapted(folder):
    """An extended model with adapters a and b in one layer, and this layer."""
    stock = SentenceTransformer(folder)
    attention = stock[0].model.encoder.layer[0].attention.self
    attention.query = AdaptedLinear(attention.query)
    model = le.extend(stock, **PI)
    return model, model[0].model.encoder.layer[0].attention.self.query


def test_it_knows_which_adapters_act(adapted, plain):
    model, layer = adapted
    text = "ban " * 30
    prints, vectors = {"plain": plain}, {}
    for name, change in {
        "a": {},
        "b": {"active_adapters": ["b"]},
        "both": {"active_adapters": ["a", "b"]},
        "none": {"active_adapters": []},
        "stronger": {"active_adapters": ["a"], "scaling": {"a": 3.0, "b": 2.0}},
    }.items():
        for attribute, value in change.items():
            setattr(layer, attribute, value)
        prints[name], vectors[name] = le.fingerprint(model), model.encode(text)
    assert len(set(prints.values())) == 6
    # The attributes are those by which the layer computes.
    assert len({tuple(vector.round(4)) for vector in vectors.values()}) == 5
    layer.disable_adapters = True
    assert le.fingerprint(model) == prints["none"]
    layer.disable_adapters, layer.scaling = False, {"a": 2.0, "b": 2.0}
    assert le.fingerprint(model) == prints["a"]


def test_it_knows_the_weights_of_an_adapter_and_whether_it_is_merged(adapted):
    model, layer = adapted
    before = le.fingerprint(model)
    layer.merged_adapters = ["a"]
    assert le.fingerprint(model) != before
    layer.merged_adapters = []
    with torch.no_grad():
        layer.lora_A["a"].weight += 1
    assert le.fingerprint(model) != before


def test_it_knows_the_adapters_of_peft(folder):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    stock = SentenceTransformer(folder)
    for name in "ab":
        config = peft.LoraConfig(
            r=2, lora_alpha=4, target_modules=["query"], init_lora_weights=False
        )
        stock.add_adapter(config, name)
    model = le.extend(stock, **PI)
    prints = []
    for name in "aba":
        model.set_adapter(name)
        prints.append(le.fingerprint(model))
    model.disable_adapters()
    prints.append(le.fingerprint(model))
    assert prints[0] == prints[2]
    assert len(set(prints)) == 3


def test_a_model_that_was_not_extended_has_none(folder):
    with pytest.raises(le.ModelError, match="extend"):
        le.fingerprint(SentenceTransformer(folder))
