"""Draw the loss and the validation score over the steps of a run."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from longembed_tuning.evaluation import SCORE
from longembed_tuning.training import Log


def curve(log: Log, key: str) -> tuple[list[float], list[float]]:
    """Return the steps at which a value was logged, and the values.

    Args:
        log: The trainer's log.
        key: Name of the value.
    """
    entries = [entry for entry in log if key in entry]
    return [entry["step"] for entry in entries], [entry[key] for entry in entries]


def plot_log(log: Log, folder: Path) -> None:
    """Draw the loss, and the validation score if there is one, as loss.png and loss.svg.

    Args:
        log: The trainer's log.
        folder: Where to put them.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*curve(log, "loss"), color="tab:blue", linewidth=1)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss", color="tab:blue")
    steps, scores = curve(log, f"eval_{SCORE}")
    if steps:
        right = axes.twinx()
        right.plot(steps, scores, color="tab:orange", marker="o", markersize=3)
        right.set_ylabel("validation nDCG@10", color="tab:orange")
    for suffix in ("png", "svg"):
        figure.savefig(folder / f"loss.{suffix}", dpi=150)
