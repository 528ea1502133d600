"""The longer table: its layout, its anchors, and what can learn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import longembed_st as le
from longembed_st.positions.method import Context
from longembed_tuning.table import Layout, TunableTable


def test_pi_keeps_a_row_every_s_and_rp_the_first_ones():
    pi = Layout.of("pi", Context(4, 12), 0)
    assert pi.original_rows().int().tolist() == [1, 0, 0] * 4
    rp = Layout.of("rp", Context(4, 12), 0)
    assert rp.original_rows().int().tolist() == [1] * 4 + [0] * 8


def test_rows_before_the_first_position_are_kept():
    layout = Layout.of("pi", Context(3, 6), 2)
    assert layout.original_rows().int().tolist() == [1, 1, 1, 0, 1, 0, 1, 0]


def test_pi_needs_room_for_the_last_original_row():
    assert Layout.of("pi", Context(4, 10), 0).stride == 3
    with pytest.raises(le.ConfigError, match="use 12"):
        Layout.of("pi", Context(4, 9), 0)
    assert Layout.of("rp", Context(4, 9), 0).original_rows().sum() == 4


def test_a_window_that_adds_nothing_is_refused():
    for extended in (8, 7):
        with pytest.raises(le.ConfigError, match="adds no position"):
            Layout.of("pi", Context(8, extended), 0)


def test_the_table_reads_as_the_embedding_it_starts_from():
    start = nn.Embedding(9, 5, padding_idx=1)
    frozen = torch.tensor([1, 0, 0, 1, 1, 0, 1, 0, 0]).bool()
    table = TunableTable(start, frozen)
    ids = torch.tensor([[0, 8, 3], [5, 5, 2]])
    assert torch.equal(table(ids), start(ids))
    finished = table.as_embedding()
    assert torch.equal(finished.weight, start.weight)
    assert finished.padding_idx == 1


def test_an_optimizer_with_weight_decay_reaches_the_added_rows_only():
    start = nn.Embedding(9, 5)
    frozen = torch.tensor([1, 0, 0, 1, 1, 0, 1, 0, 0]).bool()
    table = TunableTable(start, frozen)
    assert [name for name, _ in table.named_parameters()] == ["added"]
    optimizer = torch.optim.AdamW(table.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(3):
        table(torch.arange(9)).square().sum().backward()
        optimizer.step()
    moved = (table.as_embedding().weight != start.weight).any(dim=1)
    assert torch.equal(moved, ~frozen)


def test_a_finished_table_does_not_follow_further_training():
    table = TunableTable(nn.Embedding(4, 2), torch.tensor([True, False, True, False]))
    finished = table.as_embedding()
    before = finished.weight.clone()
    table.added.data.fill_(7.0)
    assert torch.equal(finished.weight, before)
