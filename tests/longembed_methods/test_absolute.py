"""gp, rp, pi and table against the formulas of LongEmbed, section 4.2."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from compare import cosine, difference
from hypothesis import given
from hypothesis import strategies as st
from reference import absolute
from reference.plain import PlainModel
from small_models import BERT_LIKE, ROBERTA_LIKE, text_of

import longembed_st as le
from longembed_methods.absolute import (
    ExtendedTable,
    GroupedPositions,
    PositionInterpolation,
    RecurrentPositions,
)
from longembed_st.positions.hooks import within_table

METHODS = ("gp", "rp", "pi")
SMALL_FAMILIES = (*BERT_LIKE, *ROBERTA_LIKE, "mpnet")
OTHER_FAMILIES = (*BERT_LIKE[1:], *ROBERTA_LIKE[1:])
"""Read like BERT or RoBERTa: in the slow suite."""


def plain(folder, model_type, window, **settings):
    offset = 0 if model_type in BERT_LIKE else 2
    return PlainModel(folder, window, offset, **settings)


def test_vectors_of_a_real_model_equal_the_reference(minilm_folder):
    reference = PlainModel(minilm_folder, window=256)
    model = le.load(str(minilm_folder), method="pi", max_seq_length=1024)
    text = text_of(1024, reference.tokenizer)
    vector = model.encode(text)
    expected = absolute.embed(reference, text, "pi", 1024)
    assert cosine(vector, expected) > 0.99999
    assert difference(vector, expected) < 1e-5


@pytest.mark.parametrize(
    ("model_type", "method"),
    [
        *[("bert", method) for method in METHODS],
        ("roberta", "pi"),
        ("mpnet", "pi"),
        *[pytest.param(other, "pi", marks=pytest.mark.slow) for other in OTHER_FAMILIES],
    ],
)
def test_every_family_equals_the_reference(small_model, model_type, method):
    pooling = "cls" if model_type in ("electra", "camembert", "mpnet") else "mean"
    folder = small_model(model_type, pooling=pooling)
    reference = plain(folder, model_type, 64, pooling=pooling)
    model = le.load(str(folder), method=method, max_seq_length=300)
    for length in (65, 128, 300):
        text = text_of(length, reference.tokenizer)
        expected = absolute.embed(reference, text, method, 300)
        assert difference(model.encode(text), expected) < 1e-5, length


def test_every_family_that_is_declared_is_tested_here():
    declared = {name for name, family in le.families().items() if family.encoding == "absolute"}
    assert declared == set(SMALL_FAMILIES)


@pytest.mark.parametrize(
    ("model_type", "method"),
    [
        ("bert", "gp"),
        *[pytest.param(other, "pi", marks=pytest.mark.slow) for other in OTHER_FAMILIES],
    ],
)
def test_log_n_scaling_equals_the_reference(small_model, model_type, method):
    folder = small_model(model_type)
    reference = plain(folder, model_type, 64)
    model = le.load(str(folder), method=method, max_seq_length=256, logn_scaling=True)
    texts = [text_of(n, reference.tokenizer) for n in (20, 64, 65, 130, 256)]
    expected = [absolute.embed(reference, text, method, 256, logn=True) for text in texts]
    assert difference(model.encode(texts), torch.stack(expected)) < 1e-5
    unscaled = absolute.embed(reference, texts[-1], method, 256)
    assert difference(expected[-1], unscaled) > 1e-3, "this model would not notice the scaling"


def test_the_dynamic_factor_is_taken_from_each_text(small_model):
    method = "gp"
    folder = small_model("roberta")
    reference = plain(folder, "roberta", 64)
    model = le.load(str(folder), method=method, max_seq_length=512, factor="dynamic")
    texts = [text_of(n, reference.tokenizer) for n in (512, 64, 129, 65, 128, 30, 500)]
    expected = [absolute.embed(reference, text, method, 512, dynamic=True) for text in texts]
    assert difference(model.encode(texts), torch.stack(expected)) < 1e-5
    static = absolute.embed(reference, texts[2], method, 512)
    assert difference(expected[2], static) > 1e-3, "this model would not notice the factor"


def test_every_pooling_works_on_long_texts_behind_a_prompt(small_model):
    pooling = "weightedmean"
    folder = small_model("bert", pooling=pooling, normalize=False)
    reference = plain(folder, "bert", 64, pooling=pooling, normalize=False)
    model = le.load(str(folder), method="pi", max_seq_length=256)
    text = text_of(200, reference.tokenizer)
    expected = absolute.embed(reference, text, "pi", 256, prompt="query: ")
    assert difference(model.encode(text, prompt="query: "), expected) < 1e-5


def test_a_prompt_is_left_out_of_the_pooling_of_long_texts(small_model):
    folder = small_model("roberta", include_prompt=False)
    reference = plain(folder, "roberta", 64, include_prompt=False)
    model = le.load(str(folder), method="pi", max_seq_length=256)
    text = text_of(200, reference.tokenizer)
    for prompt in ("", "passage: "):
        expected = absolute.embed(reference, text, "pi", 256, prompt=prompt)
        assert difference(model.encode(text, prompt=prompt or None), expected) < 1e-5


def test_a_smaller_original_window_can_be_asked_for(small_model):
    folder = small_model("bert")
    model = le.load(str(folder), method="pi", original_max_seq_length=40, max_seq_length=80)
    reference = plain(folder, "bert", 40)
    text = text_of(80, reference.tokenizer)
    assert difference(model.encode(text), absolute.embed(reference, text, "pi", 80)) < 1e-5


# Positions, without a model.


def paper(original, extended):
    return le.Context(original=original, extended=extended)


def test_positions_are_those_of_figure_4():
    context = paper(512, 1024)
    recurrent = RecurrentPositions().position_ids(1024, context).tolist()
    assert recurrent == [*range(512), *range(512)]
    grouped = GroupedPositions().position_ids(1024, context).tolist()
    assert grouped == [pid for pid in range(512) for _ in (0, 1)]
    interpolated = PositionInterpolation().position_ids(1024, context).tolist()
    assert interpolated[:4] == [0, 0.5, 1, 1.5]
    assert interpolated[-4:] == [510, 510.5, 511, 511.5]


windows = st.integers(4, 700).flatmap(
    lambda original: st.tuples(st.just(original), st.integers(original, 20 * original))
)
anything = st.sampled_from(
    [
        GroupedPositions(),
        GroupedPositions(factor="dynamic"),
        RecurrentPositions(),
        PositionInterpolation(),
        PositionInterpolation(factor="dynamic"),
    ]
)


@given(method=anything, sizes=windows, data=st.data())
def test_long_texts_stay_within_the_table_and_begin_at_its_start(method, sizes, data):
    original, extended = sizes
    context = paper(original, max(extended, original + 1))
    n = data.draw(st.integers(original + 1, context.extended))
    assert not method.reads_originally(n, context)
    assert method.reads_originally(min(n, original), context)
    positions = method.position_ids(n, context)
    assert positions.shape == (n,)
    assert positions[0] == 0
    assert positions.min() >= 0
    assert positions.max() < original
    rows = within_table(positions, context)
    assert rows.max() <= original - 1
    assert rows.max() <= method.last_position(context) <= original - 1
    moved = positions != rows
    assert (positions[moved] > original - 1).all()


@given(sizes=windows)
def test_positions_of_a_full_text_equal_the_formulas(sizes):
    original, extended = sizes
    if extended == original:
        return
    context = paper(original, extended)
    factor = math.ceil(extended / original)
    gp = GroupedPositions().position_ids(extended, context)
    assert gp.tolist() == absolute.gp_positions(extended, factor)
    rp = RecurrentPositions().position_ids(extended, context)
    assert rp.tolist() == absolute.rp_positions(extended, original)
    pi = PositionInterpolation().position_ids(extended, context)
    expected = [pid / factor for pid in range(extended)]
    np.testing.assert_allclose(pi.numpy(), expected, atol=1e-9)


def test_a_table_is_read_in_strides_up_to_the_window_and_row_by_row_beyond():
    method, context = ExtendedTable(stride=8), paper(512, 4096)
    assert method.position_ids(3, context).tolist() == [0, 8, 16]
    assert method.position_ids(512, context)[-1] == 4088
    assert method.position_ids(513, context).tolist() == list(range(513))
    assert method.last_position(context) == 4095


def test_a_stride_that_leaves_the_table_is_refused():
    windows = {"original_max_seq_length": 512, "max_seq_length": 4096}
    for stride in (0, 9, 1.5, None):
        config = le.ExtensionConfig(method="table", **windows, options={"stride": stride})
        with pytest.raises(le.ConfigError, match="stride"):
            config.build_method()
