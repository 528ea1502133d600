"""LongTransformer: short texts, invariance, and what really goes through the model."""

from __future__ import annotations

import random
from contextlib import contextmanager

import pytest
import torch
from compare import difference
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from small_models import BERT_LIKE, ROBERTA_LIKE, text_of

import longembed_st as le

PI = {"method": "pi", "max_seq_length": 256}
EXTENSIONS = [
    {"method": "none"},
    {"method": "pcw", "window_size": 16, "overlap": 3},
    {"method": "gp", "max_seq_length": 256, "logn_scaling": True},
]


def load(folder, **extension):
    return le.load(str(folder), on_overflow="truncate", **extension)


@contextmanager
def model_inputs(model):
    """What the transformers model is called with, call by call."""
    calls = []
    transformers_model = model[0].model
    forward = transformers_model.forward

    def watched(**inputs):
        calls.append(inputs)
        return forward(**inputs)

    # Not a forward hook: sentence-transformers calls `forward` itself.
    transformers_model.forward = watched
    try:
        yield calls
    finally:
        del transformers_model.forward


def mixed(tokenizer, lengths, seed=0):
    return [text_of(n, tokenizer, seed + i) for i, n in enumerate(lengths)]


# Short texts are sacred.


@pytest.mark.parametrize(
    ("model_type", "extension"),
    [
        *[("bert", extension) for extension in EXTENSIONS],
        ("roberta", PI),
        *[
            pytest.param(other, PI, marks=pytest.mark.slow)
            for other in (*BERT_LIKE[1:], *ROBERTA_LIKE[1:], "mpnet")
        ],
    ],
    ids=str,
)
def test_short_texts_keep_their_vectors_alone_and_beside_long_ones(
    small_model, model_type, extension
):
    folder = small_model(model_type)
    stock = SentenceTransformer(str(folder))
    model = load(folder, **extension)
    short = mixed(stock.tokenizer, (3, 7, 20, 40, 63, 64, 64))
    expected = torch.stack([stock.encode(text, convert_to_tensor=True) for text in short])
    alone = torch.stack([model.encode(text, convert_to_tensor=True) for text in short])
    assert difference(alone, expected) < 1e-6
    long = mixed(stock.tokenizer, (65, 100, 256))
    together = model.encode([long[0], *short, *long[1:]])[1 : 1 + len(short)]
    assert difference(together, expected) < 1e-6


def test_short_texts_of_a_real_model_keep_their_vectors(minilm_folder):
    stock = SentenceTransformer(str(minilm_folder))
    model = le.extend(stock, "pi", max_seq_length=1024)
    short = ["", "x", "Grüße aus 東京 🗼!", "The contract ends in March. " * 20]
    short += mixed(stock.tokenizer, (255, 256))
    expected = torch.stack([stock.encode(text, convert_to_tensor=True) for text in short])
    together = model.encode([*short, text_of(600, stock.tokenizer)])[:-1]
    assert difference(together, expected) < 1e-6


@pytest.mark.parametrize(
    ("pooling", "include_prompt", "prompt"),
    [
        ("weightedmean", False, "query: "),
        (("cls", "mean"), True, None),
    ],
    ids=str,
)
def test_short_texts_keep_their_vectors_with_every_pooling_and_prompt(
    small_model, pooling, include_prompt, prompt
):
    folder = small_model("roberta", pooling=pooling, include_prompt=include_prompt)
    stock = SentenceTransformer(str(folder))
    short = mixed(stock.tokenizer, (10, 40, 57))
    expected = [stock.encode(text, prompt=prompt, convert_to_tensor=True) for text in short]
    for extension in ({"method": "pcw"}, {"method": "pi", "max_seq_length": 256}):
        model = load(folder, **extension)
        texts = [*short, text_of(150, stock.tokenizer)]
        together = model.encode(texts, prompt=prompt)[:-1]
        assert difference(together, torch.stack(expected)) < 1e-6


def test_a_tokenizer_that_pads_on_the_left_changes_no_vector(small_model):
    folder = small_model("gpt2", pooling="lasttoken", padding_side="left")
    stock = SentenceTransformer(str(folder))
    model = load(folder, method="pcw")
    texts = mixed(stock.tokenizer, (5, 9, 30, 33, 40, 61, 64))
    expected = torch.stack([stock.encode(text, convert_to_tensor=True) for text in texts])
    assert difference(model.encode(texts), expected) < 1e-6


# Per text, never per batch.


@pytest.fixture(scope="module", params=["pcw", "gp logn"])
def invariant_model(request, small_model):
    extension = {
        "pcw": {"method": "pcw"},
        "gp logn": {"method": "gp", "max_seq_length": 256, "logn_scaling": True},
    }[request.param]
    model = load(small_model("roberta"), token_budget=256, **extension)
    tokenizer = model.tokenizer
    lengths = [3, 4, 10, 11, 12, 50, 60, 64, 65, 66, 100, 127, 128, 129, 200, 250, 256, 300]
    texts = mixed(tokenizer, lengths)
    return model, texts, torch.stack([model.encode(t, convert_to_tensor=True) for t in texts])


@settings(max_examples=8)
@given(data=st.data())
def test_a_vector_is_the_same_in_any_batch_and_order(invariant_model, data):
    model, texts, alone = invariant_model
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1, max_size=20))
    size = data.draw(st.sampled_from([1, 3, 32]))
    vectors = model.encode([texts[index] for index in chosen], batch_size=size)
    assert difference(vectors, alone[chosen]) < 1e-6


@given(data=st.data())
@settings(max_examples=8)
def test_one_batch_may_hold_any_texts_in_any_order(invariant_model, data):
    """Without `encode`, which sorts texts by length."""
    model, texts, alone = invariant_model
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=4, max_size=20))
    with torch.no_grad():
        features = model(model.preprocess([texts[index] for index in chosen]))
    assert difference(features["sentence_embedding"], alone[chosen]) < 1e-6


def test_the_token_budget_changes_no_vector(small_model):
    folder = small_model("bert")
    texts = mixed(load(folder).tokenizer, (5, 6, 64, 64, 70, 128, 128, 200))
    usual = load(folder, method="pi", max_seq_length=256).encode(texts)
    for budget in (1, 100):
        budgeted = load(folder, method="pi", max_seq_length=256, token_budget=budget).encode(texts)
        assert difference(usual, budgeted) < 1e-6


# What goes through the model.


@pytest.mark.parametrize(
    ("model_type", "extension"),
    [("bert", {"method": "pcw"}), ("roberta", PI)],
    ids=str,
)
def test_texts_alone_or_of_one_length_are_neither_padded_nor_masked(
    small_model, monkeypatch, model_type, extension
):
    masks = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, attn_mask=None, *args, **kwargs):
        masks.append(attn_mask)
        return attention(query, key, value, attn_mask, *args, **kwargs)

    model = load(small_model(model_type), **extension)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    with model_inputs(model) as calls:
        for lengths in ([10], [64, 64, 64], [200], [200, 200]):
            model.encode(mixed(model.tokenizer, lengths))
    assert len(calls) >= 4
    for call in calls:
        assert call.get("attention_mask") is None
        assert not (call["input_ids"] == model.tokenizer.pad_token_id).any()
    assert masks
    assert all(mask is None for mask in masks)


def test_no_forward_pass_exceeds_the_budget_and_long_texts_are_not_padded(small_model):
    folder = small_model("bert", positions=600)
    model = load(folder, method="pi", max_seq_length=2400, token_budget=2000)
    draw = random.Random(7)
    lengths = [draw.randint(3, 2400) for _ in range(12)] + [2000, 2001, 2400, 2400]
    texts = mixed(model.tokenizer, lengths)
    with model_inputs(model) as calls:
        model.encode(texts, batch_size=len(texts))
    seen = 0
    for call in calls:
        rows, width = call["input_ids"].shape
        assert rows * width <= 2000 or rows == 1
        padded = int((call["input_ids"] == model.tokenizer.pad_token_id).sum())
        if width > 600:
            assert padded == 0
        assert padded == 0 or call["attention_mask"].sum() == rows * width - padded
        assert (call.get("attention_mask") is not None) == (padded > 0)
        seen += rows * width - padded
    assert seen == sum(lengths), "each token goes through the model exactly once"


def test_windows_of_one_text_are_read_in_several_batches(small_model):
    model = load(small_model("bert"), method="pcw", token_budget=640)
    with model_inputs(model) as calls:
        model.encode(text_of(62 * 25 + 2, model.tokenizer))
    assert [len(call["input_ids"]) for call in calls] == [10, 10, 5]


# What sentence-transformers asks of a module.


def test_the_extended_window_cannot_be_changed_in_place(small_model):
    model = load(small_model("bert"), method="pi", max_seq_length=256)
    assert model.max_seq_length == 256
    model.max_seq_length = 256
    with pytest.raises(le.ConfigError, match=r"256.*extend\(model, max_seq_length=512\)"):
        model.max_seq_length = 512
    assert model.max_seq_length == 256


def test_the_width_is_that_of_the_pooling(small_model):
    model = load(small_model("bert", pooling=("mean", "cls")), method="pcw")
    assert model.get_embedding_dimension() == 64
    assert model.encode("ban").shape == (64,)


def test_a_tokenizer_that_truncates_on_the_left_keeps_the_end(small_model):
    folder = small_model("bert")
    stock = SentenceTransformer(str(folder))
    stock.tokenizer.truncation_side = "left"
    text = text_of(500, stock.tokenizer)
    model = le.extend(stock, method="rp", max_seq_length=150, on_overflow="truncate")
    ids = stock.tokenizer(text, truncation=True, max_length=150)["input_ids"]
    with model_inputs(model) as calls:
        model.encode(text)
    assert calls[0]["input_ids"].tolist() == [ids]
    (coverage,) = le.coverage(model, [text])
    ((start, end),) = coverage.spans
    assert end == len(text)
    kept = stock.tokenizer(text[start:], add_special_tokens=False)["input_ids"]
    assert kept == ids[1:-1]


def test_a_model_that_gives_no_finite_vector_is_an_error(small_model):
    stock = SentenceTransformer(str(small_model("bert")))
    model = le.extend(stock, method="pi", max_seq_length=256)
    with torch.no_grad():
        model[0].model.embeddings.word_embeddings.weight.fill_(float("inf"))
    with pytest.raises(le.ModelError, match=r"NaN.*float32"):
        model.encode("ban")
