"""Extensions of one model leave each other, and the model, alone."""

from __future__ import annotations

import copy

import pytest
import torch
from compare import cosine, difference
from sentence_transformers import SentenceTransformer
from small_models import text_of
from torch import nn

import longembed_st as le
from longembed_st.base.sharing import copy_sharing_weights

EXTENSIONS = [
    {"method": "pi", "max_seq_length": 256},
    {"method": "gp", "max_seq_length": 128, "logn_scaling": True},
    {"method": "pcw", "window_size": 32},
    {"method": "rp", "max_seq_length": 256},
]


@pytest.fixture
def stock(small_model):
    return SentenceTransformer(str(small_model("roberta")))


def state(model, texts):
    """All that may not change: vectors, weights, configuration, and where the model's parts are."""
    transformer = model[0].model
    return {
        "vectors": model.encode(texts, convert_to_tensor=True),
        "weights": {name: w.clone() for name, w in transformer.state_dict().items()},
        "config": transformer.config.to_dict(),
        "attention": transformer.config._attn_implementation,
        "modules": [type(module) for module in model.modules()],
        "names": [name for name, _ in model.named_modules()],
        "window": model.max_seq_length,
        "tokenizer": model.tokenizer.model_max_length,
    }


def assert_unchanged(before, after):
    assert difference(before.pop("vectors"), after.pop("vectors")) < 1e-6
    weights_before, weights_after = before.pop("weights"), after.pop("weights")
    assert list(weights_before) == list(weights_after)
    assert all(torch.equal(weights_before[name], weights_after[name]) for name in weights_before)
    assert before == after


def test_extensions_leave_the_original_and_each_other_as_they_were(stock):
    texts = [text_of(n, stock.tokenizer) for n in (10, 64, 90, 128)]
    before = state(stock, texts)
    models = [le.extend(stock, on_overflow="truncate", **extension) for extension in EXTENSIONS]
    first = [state(model, texts) for model in models]
    for model, state_then in zip(reversed(models), reversed(first), strict=True):
        assert_unchanged(dict(state_then), state(model, texts))
    assert_unchanged(before, state(stock, texts))
    vectors = [state_then["vectors"][3] for state_then in first]
    distances = [(a - b).abs().max() for i, a in enumerate(vectors) for b in vectors[:i]]
    assert min(distances) > 1e-3, "the extensions differ on long texts"


def test_weights_are_shared_and_behaviour_is_not(stock):
    model = le.extend(stock, method="pi", max_seq_length=256)
    again = le.extend(model, method="gp")
    for other in (model, again):
        theirs = dict(other[0].model.named_parameters())
        for name, weight in stock[0].model.named_parameters():
            assert theirs[name].data_ptr() == weight.data_ptr(), name
        mine = set(map(id, stock.modules()))
        assert not mine & set(map(id, other.modules()))
        assert other.tokenizer is not stock.tokenizer


def test_moving_one_to_another_dtype_leaves_the_others(stock):
    text = text_of(100, stock.tokenizer)
    moved = le.extend(stock, method="pi", max_seq_length=256)
    other = le.extend(stock, method="pi", max_seq_length=256)
    before = other.encode(text, convert_to_tensor=True)
    own = stock.encode("ban", convert_to_tensor=True)
    moved.to(torch.bfloat16)
    half = moved.encode(text, convert_to_tensor=True)
    assert half.dtype == torch.bfloat16
    assert cosine(half, before) > 0.99
    assert difference(other.encode(text), before) < 1e-6
    assert difference(stock.encode("ban"), own) < 1e-6
    assert {p.dtype for p in (*stock.parameters(), *other.parameters())} == {torch.float32}


def test_settings_of_the_extension_do_not_leak_into_the_original(stock):
    stock.eval()
    model = le.extend(stock, method="pi", max_seq_length=256)
    model.prompts["query"] = "query: "
    model.tokenizer.model_max_length = 7
    model.tokenizer.truncation_side = "left"
    model[0].pooling.pooling_mode = "cls"
    model[0].model.config.hidden_dropout_prob = 0.5
    model.train()
    assert stock.prompts["query"] == ""
    assert stock.tokenizer.model_max_length == 64
    assert stock.tokenizer.truncation_side == "right"
    assert stock[1].pooling_mode == "mean"
    assert stock[0].model.config.hidden_dropout_prob != 0.5
    assert not stock.training


def test_an_extension_can_be_copied(stock):
    text = text_of(100, stock.tokenizer)
    model = le.extend(stock, method="gp", max_seq_length=128, logn_scaling=True)
    twin = copy.deepcopy(model)
    assert difference(model.encode(text), twin.encode(text)) < 1e-6
    with torch.no_grad():
        next(twin[0].model.parameters()).zero_()
    assert bool(next(model[0].model.parameters()).any())


def test_extending_again_replaces_the_extension(stock):
    text = text_of(200, stock.tokenizer)
    for extension in EXTENSIONS:
        direct = le.extend(stock, on_overflow="truncate", **extension)
        other = EXTENSIONS[EXTENSIONS.index(extension) - 1]
        around = le.extend(le.extend(stock, **other), on_overflow="truncate", **extension)
        assert around[0].extension == direct[0].extension
        assert difference(direct.encode(text), around.encode(text)) < 1e-6
        assert around[0].model.config._attn_implementation == (
            direct[0].model.config._attn_implementation
        )


def test_a_weight_that_is_tied_stays_tied_in_the_copy():
    original = nn.ModuleList([nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)])
    original[1].weight = original[0].weight
    copied = copy_sharing_weights(original)
    assert copied[0].weight is copied[1].weight


def test_frozen_weights_stay_frozen():
    original = nn.Linear(2, 2)
    original.weight.requires_grad = False
    assert not copy_sharing_weights(original).weight.requires_grad
