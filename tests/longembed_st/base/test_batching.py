"""Token-budget batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longembed_st.base.batching import padded_width, token_budget_batches

lengths = st.lists(st.integers(1, 9000), max_size=60)
budgets = st.integers(1, 20_000)


@given(lengths, budgets)
def test_each_text_is_in_exactly_one_batch(lengths, budget):
    batches = token_budget_batches(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)


@given(lengths, budgets)
def test_no_batch_exceeds_the_budget_unless_it_is_one_text(lengths, budget):
    for batch in token_budget_batches(lengths, budget):
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= budget or len(batch) == 1


@given(st.integers(1, 5000), st.integers(1, 50), budgets)
def test_texts_of_one_length_fill_the_batches(length, count, budget):
    sizes = [len(batch) for batch in token_budget_batches([length] * count, budget)]
    full = max(budget // length, 1)
    assert max(sizes) <= full
    assert len(sizes) == -(-count // full)


@given(lengths, budgets)
def test_padding_never_outweighs_the_text(lengths, budget):
    for batch in token_budget_batches(lengths, budget):
        real = [lengths[index] for index in batch]
        if max(real) > 512:
            assert len(set(real)) == 1, "a long text would be padded and masked"
        elif max(real) > 64:
            assert min(real) >= max(real) / 2


def test_widths_are_rounded_up_on_mps_only_and_within_the_window():
    widths = [padded_width(length, 500, "mps") for length in (1, 64, 65, 450, 500)]
    assert widths == [64, 64, 128, 500, 500]
    assert padded_width(65, 500, "cpu") == padded_width(65, 500, "cuda") == 65
    # A window that is smaller than one step, and a row that is longer than the window.
    assert (padded_width(20, 32, "mps"), padded_width(40, 32, "mps")) == (32, 40)
