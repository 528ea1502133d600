"""Tables read between their rows."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from longembed_st.positions.tables import interpolate_rows

TABLE = torch.tensor([[0.0, 10.0], [4.0, 30.0], [8.0, -30.0]])


def test_rows_are_mixed_by_hand():
    mixed = interpolate_rows(TABLE, torch.tensor([0, 0.25, 1, 1.5, 2], dtype=torch.float64))
    assert mixed.tolist() == [[0, 10], [1, 15], [4, 30], [6, 0], [8, -30]]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_whole_positions_are_the_rows_themselves(positions):
    mixed = interpolate_rows(TABLE, torch.tensor(positions, dtype=torch.float64))
    assert torch.equal(mixed, TABLE[positions])


@given(st.integers(2, 600), st.integers(2, 64), st.data())
def test_mixed_rows_lie_between_their_neighbours(rows, factor, data):
    table = torch.arange(rows, dtype=torch.float32).unsqueeze(1)
    step = data.draw(st.integers(0, (rows - 1) * factor))
    (mixed,) = interpolate_rows(table, torch.tensor([step], dtype=torch.float64) / factor)
    assert abs(float(mixed) - step / factor) < 1e-4


def test_a_half_precision_table_is_rounded_once():
    torch.manual_seed(0)
    table = torch.randn(64, 32).bfloat16()
    positions = torch.linspace(0, 63, 201, dtype=torch.float64)
    exact = interpolate_rows(table.double(), positions)
    mixed = interpolate_rows(table, positions)
    assert mixed.dtype == torch.bfloat16
    half_a_step = 2**-8 * exact.abs()  # bfloat16 keeps 8 bits.
    assert ((mixed.double() - exact).abs() <= half_a_step * 1.001 + 1e-6).all()
