"""The loss and the validation score over the steps."""

from __future__ import annotations

from longembed_tuning.record import curve, plot_log

LOG = [
    {"step": 1, "loss": 3.0},
    {"step": 2, "loss": 2.5},
    {"step": 2, "eval_ndcg@10": 0.4},
    {"step": 2, "train_runtime": 9.0},
]


def test_a_curve_takes_only_the_entries_of_its_value():
    assert curve(LOG, "loss") == ([1, 2], [3.0, 2.5])
    assert curve(LOG, "eval_ndcg@10") == ([2], [0.4])
    assert curve([], "loss") == ([], [])


def test_the_plot_shows_the_score_if_there_is_one(tmp_path):
    plot_log(LOG, tmp_path)
    with_score = (tmp_path / "loss.png").read_bytes()
    assert with_score.startswith(b"\x89PNG")
    plot_log(LOG[:2], tmp_path)
    assert (tmp_path / "loss.png").read_bytes() != with_score
