"""What is kept of a text that was read in several passes."""

from __future__ import annotations

import pytest
import torch

from longembed_st.base.reductions import mean_by_text


def test_each_text_gets_the_mean_of_its_own_passes():
    vectors = torch.tensor([[1.0, 2.0], [8.0, 0.0], [3.0, 4.0], [5.0, 6.0]])
    # The passes of two texts, not in order.
    means = mean_by_text(vectors, [1, 0, 1, 1], 2)
    assert means.tolist() == [[8.0, 0.0], [3.0, 4.0]]


def test_half_precision_is_rounded_once():
    dtype = torch.bfloat16
    torch.manual_seed(0)
    vectors = (torch.randn(500, 16) + 3).to(dtype)
    exact = vectors.double().mean(0)
    half_a_step = torch.finfo(dtype).eps / 2 * exact.abs()
    means = mean_by_text(vectors, [0] * 500, 1)[0]
    assert means.dtype == dtype
    assert ((means.double() - exact).abs() <= half_a_step * 1.001).all()


def test_double_precision_is_kept():
    vectors = torch.tensor([[1.0 + 1e-12], [1.0]], dtype=torch.float64)
    assert mean_by_text(vectors, [0, 0], 1).item() == pytest.approx(1 + 5e-13, abs=1e-15)
    assert mean_by_text(vectors, [0, 0], 1).dtype == torch.float64
