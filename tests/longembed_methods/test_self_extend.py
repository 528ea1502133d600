"""SelfExtend: the two position maps, the default pairs, and pairs that are refused."""

from __future__ import annotations

import pytest
import torch
from compare import difference
from hypothesis import given
from hypothesis import strategies as st
from reference.rotary import RotaryReference, plan_for, self_extend_map
from small_rotary_models import KINDS, folder_of, random_ids, stock

import longembed_st as le
from longembed_methods.self_extend import SelfExtend


def pair(original, extended, **options):
    method = SelfExtend(**options)
    context = le.Context(original, extended)
    method.check(context)
    grouping = method.grouping(extended, context)
    return grouping.group_size, grouping.neighbor_window


# The reference is the paper's.


def test_the_papers_worked_example():
    # LongEmbed, section 4.3: 10 tokens, w = 4, G = 2; the paper counts keys minus query.
    seen = -self_extend_map(10, 2, 4)
    assert seen[0].tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6]
    assert seen[4].tolist() == [-4, -3, -2, -1, 0, 1, 2, 3, 4, 4]


# The worked example in a model that attends.


@pytest.mark.parametrize("kind", ["jina_embeddings_v3", "llama"])
def test_a_model_sees_the_worked_example(kind):
    reference = RotaryReference(folder_of(kind), 64, KINDS[kind].causal)
    model = le.extend(
        stock(kind),
        "self_extend",
        original_max_seq_length=8,
        max_seq_length=10,
        group_size=2,
        neighbor_window=4,
    )
    ids = random_ids(model.tokenizer, 10)
    plan = plan_for("self_extend", 10, 8, 10, reference.width, reference.base, group=(2, 4))
    assert -plan.relative[4, 9] == 4
    with torch.inference_mode():
        states = model[0].token_embeddings(ids)
    assert difference(states, reference.run(ids, plan)) < 2e-5
    for other in ((2, 3), (2, 5), (3, 4)):
        plan = plan_for("self_extend", 10, 8, 10, reference.width, reference.base, group=other)
        assert difference(states, reference.run(ids, plan)) > 1e-2, other


# Group size and neighbour window.


def test_the_defaults_are_the_pairs_of_table_6():
    pairs = {scale: pair(512, scale * 512) for scale in (2, 4, 8)}
    assert pairs == {2: (3, 256), 4: (5, 128), 8: (9, 64)}
    assert pair(4096, 2 * 4096) == (3, 2048)


@given(st.integers(4, 10_000), st.integers(2, 100), st.data())
def test_the_defaults_never_lead_beyond_the_original_window(original, scale, data):
    extended = data.draw(st.integers((scale - 1) * original + 1, scale * original))
    size, near = pair(original, extended)
    assert size >= 2
    assert 1 <= near <= original
    farthest = (extended - 1) // size + near - near // size
    assert farthest <= original
    # With s windows, they use most of it.
    farthest = (scale * original - 1) // size + near - near // size
    assert original < 64 or scale > 20 or farthest > 0.95 * original - scale


def test_one_option_alone_keeps_the_others_default():
    assert pair(512, 4096, group_size=12) == (12, 64)
    assert pair(512, 4096, neighbor_window=32) == (9, 32)


def refused(match, **options):
    windows = {"original_max_seq_length": 512, "max_seq_length": 4096}
    config = le.ExtensionConfig(method="self_extend", **windows, options=options)
    with pytest.raises(le.ConfigError, match=match):
        config.build_method()


def test_a_pair_that_leads_beyond_the_original_window_is_refused_with_the_defaults():
    refused(r"1071.*512.*\(9, 64\)", group_size=4)
    for options in ({"group_size": 8}, {"neighbor_window": 128}, {"neighbor_window": 513}):
        refused(r"group_size|neighbor_window", **options)


def test_what_is_not_a_number_of_tokens_is_refused():
    for option in ("group_size", "neighbor_window"):
        for value in (0, 2.5, "4"):
            refused(option, **{option: value})
    # A group of one extends nothing.
    refused("group_size", group_size=1)
