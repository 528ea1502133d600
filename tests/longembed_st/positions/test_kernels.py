"""The attention kernels against full score matrices."""

import pytest
import torch
from reference.self_extend import dense_self_extend, relative_positions
from torch import Tensor

from longembed_st.errors import ModelError
from longembed_st.positions import kernels
from longembed_st.positions.kernels import (
    Rotation,
    SelfExtendRotations,
    attend_portably,
    banded_attention,
    self_extend_attention,
    self_extend_positions,
)

# The paper's settings for a trained length of 512, and uneven ones.
SETTINGS = [(3, 256), (7, 33), (4, 1)]


def angles(positions: Tensor, width: int) -> Tensor:
    return positions[:, None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)


def rope(x: Tensor, positions: Tensor) -> Tensor:
    rotation = torch.cat([angles(positions, x.shape[-1])] * 2, -1)
    first, second = x.chunk(2, -1)
    return x * rotation.cos() + torch.cat([-second, first], -1) * rotation.sin()


def inputs(heads, kv_heads, length, width, batch=1, value_width=None, dtype=torch.float32):
    torch.manual_seed(0)
    q = torch.randn(batch, heads, length, width)
    k = torch.randn(batch, kv_heads, length, width)
    v = torch.randn(batch, kv_heads, length, value_width or width)
    return q.to(dtype), k.to(dtype), v.to(dtype)


def difference(q, k, v, group_size, window, causal=False):
    length, width = q.shape[2:]
    scaling = 1.1 * width**-0.5
    rotations = [angles(p, width) for p in self_extend_positions(length, group_size, window)]
    rotations = SelfExtendRotations(
        *(Rotation(a.cos().to(q.dtype), a.sin().to(q.dtype)) for a in rotations)
    )
    output = self_extend_attention(
        q, k, v, rotations, neighbor_window=window, causal=causal, scaling=scaling
    )
    expected = dense_self_extend(
        q.float(),
        k.float(),
        v.float(),
        rope,
        group_size=group_size,
        neighbor_window=window,
        causal=causal,
        scaling=scaling,
    )
    assert output.dtype == q.dtype
    assert output.shape == expected.shape
    return (output.float() - expected).abs().max().item()


def test_worked_example_of_the_paper():
    exact, left, right, grouped = self_extend_positions(10, group_size=2, window=4)
    distance = torch.arange(10)[None] - torch.arange(10)[:, None]
    beyond = torch.where(distance < 0, grouped - left[:, None], grouped - right[:, None])
    relative = torch.where(distance.abs() < 4, exact - exact[:, None], beyond)
    assert relative[0].tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6]
    assert relative[4].tolist() == [-4, -3, -2, -1, 0, 1, 2, 3, 4, 4]
    assert torch.equal(relative, relative_positions(10, 2, 4))


@pytest.mark.parametrize("causal", [False, True])
def test_equals_dense(causal):
    for group_size, window in SETTINGS:
        assert difference(*inputs(4, 2, 331, 32), group_size, window, causal) < 1e-5


def test_any_heads_equal_dense():
    for width, kv_heads, causal in ((64, 4, True), (128, 1, False)):
        assert difference(*inputs(4, kv_heads, 331, width), 9, 64, causal) < 1e-5


@pytest.mark.parametrize("causal", [False, True])
def test_lengths_around_the_window(causal):
    for length in (1, 63, 64, 65, 128, 129, 1999):
        assert difference(*inputs(4, 2, length, 32), 9, 64, causal) < 1e-5, length


def test_transposed_texts_of_a_batch_with_values_of_another_width():
    q, k, v = inputs(6, 3, 301, 64, batch=3, value_width=32)
    q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    assert difference(q, k, v, 5, 40, causal=True) < 1e-5


def test_bfloat16():
    # bfloat16 holds 8 bits: inputs and rotations carry errors of 2**-8 relative each.
    assert difference(*inputs(4, 2, 701, 64, dtype=torch.bfloat16), 9, 64) < 0.05


@pytest.mark.parametrize(
    ("dtype", "length", "causal"),
    [(torch.float32, 65, True), (torch.float32, 1100, False), (torch.bfloat16, 701, True)],
)
def test_portable_route(monkeypatch, dtype, length, causal):
    monkeypatch.setattr(kernels, "_attend", attend_portably)
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    assert difference(*inputs(4, 2, length, 64, dtype=dtype), 9, 64, causal) < tolerance


def test_portable_route_survives_hidden_key_blocks(monkeypatch):
    monkeypatch.setattr(kernels, "_attend", attend_portably)
    monkeypatch.setattr(kernels, "_PORTABLE_ROWS", 7)
    monkeypatch.setattr(kernels, "_PORTABLE_KEYS", 5)
    assert difference(*inputs(2, 1, 131, 32), 3, 20) < 1e-5


def test_half_precision_is_scaled_before_the_product():
    """Unscaled, these products are beyond what float16 can hold."""
    width = 64
    q, k, v = (torch.full((1, 1, 1, width), 40.0, dtype=torch.float16) for _ in range(3))
    out, lse = attend_portably(q, k, v, width**-0.5)
    assert 40.0**2 * width > torch.finfo(torch.float16).max
    torch.testing.assert_close(out, v.float())
    assert lse.item() == pytest.approx(40.0**2 * width * width**-0.5)


def test_large_scores_stay_finite():
    q, k, v = inputs(2, 2, 301, 32)
    assert difference(q * 30, k * 30, v, 5, 40) < 1e-3


def test_a_gradient_is_refused():
    q, k, v = inputs(1, 1, 8, 32)
    with pytest.raises(ModelError, match="no gradient"):
        difference(q.requires_grad_(), k, v, 2, 4)


@pytest.mark.parametrize("causal", [False, True])
def test_banded_attention_equals_a_dense_mask(causal):
    for window, kv_heads in ((1, 4), (64, 1), (129, 4), (400, 1)):
        q, k, v = inputs(4, kv_heads, 301, 32, batch=2)
        output = banded_attention(q, k, v, sliding_window=window, causal=causal, scaling=0.2)
        k, v = k.repeat_interleave(4 // kv_heads, 1), v.repeat_interleave(4 // kv_heads, 1)
        distance = torch.arange(301)[:, None] - torch.arange(301)
        hidden = distance.abs() >= window
        if causal:
            hidden |= distance < 0
        scores = (q @ k.mT * 0.2).masked_fill(hidden, float("-inf"))
        assert (output - scores.softmax(-1) @ v).abs().max() < 1e-5, window
