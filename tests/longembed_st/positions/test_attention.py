"""The attention function that scales logits: registered by name, equal to plain attention."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import config_of
from transformers import AutoModel

from longembed_st.errors import ModelError
from longembed_st.positions.attention import LONG_ATTENTION, SelfExtension, logn_scale
from longembed_st.positions.kernels import Rotation, SelfExtendRotations

HEADS = torch.Size([2, 3, 7, 4])


def test_the_factor_is_log_n_over_log_of_the_window_and_at_least_one():
    factors = [
        logn_scale(n, window) for n, window in [(512, 512), (0, 512), (1024, 32), (4096, 512)]
    ]
    assert factors == pytest.approx([1, 1, 2, 12 / 9])


def attend(**kwargs):
    from transformers import AttentionInterface

    torch.manual_seed(5)
    query, key, value = (torch.randn(HEADS) for _ in range(3))
    module = torch.nn.Module()
    module.is_causal = False
    function = AttentionInterface()[LONG_ATTENTION]
    output, _ = function(module, query, key, value, kwargs.pop("mask", None), **kwargs)
    return query, key, value, output


def test_logits_are_multiplied_by_the_factor():
    for factor in (1.0, 1.5):
        query, key, value, output = attend(logn=factor)
        logits = factor * query @ key.transpose(-1, -2) / math.sqrt(HEADS[-1])
        expected = (logits.softmax(-1) @ value).transpose(1, 2)
        torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)


def test_dropout_that_our_kernels_do_not_know_is_refused():
    with pytest.raises(ModelError, match="dropout"):
        attend(sliding_window=3, dropout=0.1)
    *_, output = attend(sliding_window=3, dropout=0.0)
    assert output.isfinite().all()


def test_padding_stays_masked():
    mask = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    mask[1, :, :, 4:] = False
    query, key, value, output = attend(mask=mask, logn=1.5)
    logits = 1.5 * query @ key.transpose(-1, -2) / math.sqrt(HEADS[-1])
    expected = (logits.masked_fill(~mask, -math.inf).softmax(-1) @ value).transpose(1, 2)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)


def test_padded_texts_do_not_leak_into_a_model_with_our_attention():
    model = AutoModel.from_config(config_of("bert", 64)).eval()
    model.set_attn_implementation(LONG_ATTENTION)
    short = torch.tensor([[2, 9, 8, 7, 3]])
    padded = torch.cat([short, torch.full((1, 4), 11)], dim=1)
    mask = torch.tensor([[1] * 5 + [0] * 4])
    with torch.no_grad():
        alone = model(input_ids=short).last_hidden_state
        beside = model(input_ids=padded, attention_mask=mask).last_hidden_state[:, :5]
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_self_extend_never_meets_a_mask_without_saying_so():
    """Queries and keys arrive unrotated: plain attention on them would lose all positions."""
    rotation = Rotation(torch.ones(7, 2), torch.zeros(7, 2))
    extension = SelfExtension(3, SelfExtendRotations(rotation, rotation, rotation, rotation))
    *_, output = attend(self_extension=extension)
    assert output.shape == (2, 7, 3, 4)
    mask = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    with pytest.raises(ModelError, match=r"SelfExtend.*mask"):
        attend(self_extension=extension, mask=mask)
    # Local layers keep their exact positions, and may be masked.
    *_, output = attend(self_extension=extension, mask=mask, sliding_window=3)
    assert output.isfinite().all()


def test_local_layers_take_no_log_n_scaling():
    *_, scaled = attend(sliding_window=3, logn=1.5)
    *_, plain = attend(sliding_window=3)
    torch.testing.assert_close(scaled, plain, atol=1e-6, rtol=0)
