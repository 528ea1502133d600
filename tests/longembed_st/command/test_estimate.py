"""Estimated costs, against operations counted from the textbook shape of a transformer."""

from __future__ import annotations

import pytest

import longembed_st as le
from longembed_st.command import estimate

HIDDEN, FEED_FORWARD, LAYERS, WINDOW = 32, 64, 2, 64


def operations(n: int) -> int:
    """Of one pass over n tokens: two a weight and token, four a pair of tokens and channel."""
    weights = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * FEED_FORWARD)
    return 2 * weights * n + 4 * LAYERS * HIDDEN * n * n


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every measured text takes a second: one of a window, and one of 512 tokens."""
    ticks = iter(range(1000))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))


# ALBERT's layers share their weights, and each of them costs its time.
@pytest.mark.parametrize("model_type", ["bert", "albert"])
def test_seconds_follow_the_operations(small_model, model_type: str) -> None:
    model = le.load(small_model(model_type), "pi", max_seq_length=512)
    short, long, beyond = estimate.estimate_costs(model, [WINDOW, 512, 4096])
    assert short.seconds == pytest.approx(1, rel=0.1)
    assert long.seconds == pytest.approx(1, rel=0.1)
    # Beyond the window nothing is read.
    assert (beyond.seconds, beyond.megabytes) == (long.seconds, long.megabytes)
    assert [cost.passes for cost in (short, long, beyond)] == [1, 1, 1]


def test_passes_are_those_of_a_text_of_that_length(small_model) -> None:
    model = le.load(small_model("bert"), "pcw")
    for tokens in (3, 65, 1000):
        (cost,) = estimate.estimate_costs(model, [tokens])
        text = " ".join(["ban"] * (tokens - 2))
        assert cost.passes == le.coverage(model, [text])[0].passes
        if tokens <= WINDOW:
            seconds = operations(tokens) / operations(WINDOW)
        else:
            # Never less than one window.
            seconds = max(1, cost.passes * WINDOW / 512)
        assert cost.seconds == pytest.approx(seconds, rel=0.2)


def test_models_without_linear_layers_of_torch_are_estimated(small_model) -> None:
    (cost,) = estimate.estimate_costs(le.load(small_model("gpt2"), "pcw"), [WINDOW])
    assert cost.seconds == pytest.approx(1, rel=0.1)
    assert cost.megabytes > 0
