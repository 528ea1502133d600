"""The results as a plot. Readable without colour: lines differ in dashes and markers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, groupby
from pathlib import Path

from matplotlib.figure import Figure

from longembed_bench.results import Result
from longembed_st.files import write_atomically

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
INKS = ("#000000", "#1f4e8c", "#8c4a1f", "#5b5b5b", "#2f6f4f", "#6d3a7a")
"""Dark on white."""


def write_plots(results: Sequence[Result], folder: Path) -> None:
    """Write a plot of each task, as TASK.png."""
    for task, group in groupby(results, key=lambda result: result.task):
        figure = draw(list(group))
        write_atomically(
            folder / f"{task}.png",
            lambda file: figure.savefig(file, format="png", dpi=150),  # noqa: B023
        )


def draw(results: Sequence[Result]) -> Figure:
    """Draw scores by length, or against the time to read a document if there is one length only."""
    by_length = len({result.length for result in results}) > 1
    runs = {label: list(group) for label, group in groupby(results, key=lambda r: r.label)}
    # The legend stands on the right, and is as high and as wide as its labels.
    size = (6 + 0.085 * max(map(len, runs)), max(4.0, 0.25 * len(runs) + 1))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    styles = zip(cycle(DASHES), cycle(MARKERS), cycle(INKS), strict=False)
    for (label, of_run), (dashes, marker, ink) in zip(runs.items(), styles, strict=False):
        places = [
            (result.length or 0) if by_length else max(result.cost.seconds_per_document, 1e-6)
            for result in of_run
        ]
        scores = [100 * result.score for result in of_run]
        axes.plot(places, scores, linestyle=dashes, marker=marker, color=ink, label=label)
    axes.set_title(results[0].task)
    axes.set_ylabel(f"{results[0].metric} x 100")
    axes.grid(axis="y", color="0.9")
    if by_length:
        lengths = sorted({result.length or 0 for result in results})
        axes.set_xscale("log", base=2)
        axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
        axes.minorticks_off()
        axes.set_xlabel("length of the documents (tokens)")
    else:
        axes.set_xscale("log")
        axes.set_xlabel("seconds to read a document")
    figure.legend(loc="outside right upper", frameon=False)
    return figure
