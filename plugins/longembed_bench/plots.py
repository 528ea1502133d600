"""The pictures. Readable without colour: values are printed, lines differ in dashes and markers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from longembed_bench.metrics import Hits
from longembed_bench.results import Result
from longembed_bench.tables import SCORE_NAMES, by_run
from longembed_st.files import write_atomically

SHADES = colormaps["Blues"]
"""Of one hue, from light to dark, so that grey paper shows the same order."""

INKS = ("#000000", "#1f4e8c", "#8c4a1f", "#5b5b5b", "#2f6f4f", "#6d3a7a")
"""Dark on white, one for each model."""

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DEPTH_BINS = 5
PANELS_IN_A_ROW = 3
DOTS_PER_INCH = 150


def draw_all(results: Sequence[Result], folder: Path) -> list[tuple[str, Path]]:
    """Draw what the scores allow, each picture as PNG and SVG.

    Args:
        results: All scores.
        folder: Where to put them.

    Returns:
        Caption and PNG of each.
    """
    pictures: list[tuple[str, Figure, str]] = []
    for task in dict.fromkeys(result.task for result in results):
        of_task = [result for result in results if result.task == task]
        if len({result.length for result in of_task} - {None}) > 1:
            pictures += [
                (f"{task}: accuracy by length", heat_map(of_task), f"{task}-lengths"),
                (f"{task}: methods by length", length_lines(of_task), f"{task}-methods"),
            ]
        if any(result.hits for result in of_task):
            caption = f"{task}: accuracy by length and depth of the needle"
            pictures.append((caption, depth_maps(of_task), f"{task}-depths"))
        pictures.append((f"{task}: score against time", score_time(of_task), f"{task}-time"))
    drawn = []
    for caption, figure, name in pictures:
        for suffix in ("svg", "png"):
            path = folder / f"{name}.{suffix}"
            _save(figure, path, suffix)
        drawn.append((caption, path))
    return drawn


def heat_map(results: Sequence[Result]) -> Figure:
    """Accuracy by run and length, as the paper's figure 1b.

    Args:
        results: Of one generated task.
    """
    runs = by_run(results)
    lengths = _lengths(results)
    grid = np.full((len(runs), len(lengths)), np.nan)
    for row, of_run in enumerate(runs.values()):
        for result in of_run:
            grid[row, lengths.index(result.length or 0)] = 100 * result.score
    figure = Figure(
        figsize=(2.2 + 0.75 * len(lengths) + 0.075 * max(map(len, runs)), 1.3 + 0.34 * len(runs)),
        layout="constrained",
    )
    axes = figure.add_subplot()
    _shaded_grid(axes, grid)
    axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
    axes.set_yticks(range(len(runs)), list(runs))
    axes.set_xlabel("length of the documents (tokens)")
    axes.set_title(f"{results[0].task}: accuracy x 100")
    return figure


def depth_maps(results: Sequence[Result]) -> Figure:
    """For each run, accuracy by length and by depth of the needle: where it stops seeing.

    Args:
        results: Of one generated task.
    """
    runs = by_run(results)
    lengths = _lengths(results)
    columns = min(PANELS_IN_A_ROW, len(runs))
    rows = -(-len(runs) // columns)
    figure = Figure(
        figsize=((0.9 + 0.55 * max(len(lengths), 4)) * columns, 2.7 * rows), layout="constrained"
    )
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (label, of_run) in zip(panels, runs.items(), strict=False):
        grid = np.full((DEPTH_BINS, len(lengths)), np.nan)
        for result in of_run:
            grid[:, lengths.index(result.length or 0)] = accuracy_by_depth(result.hits)
        _shaded_grid(axes, grid)
        axes.set_xticks(range(len(lengths)), [_short(length) for length in lengths])
        edges = np.linspace(0, 100, DEPTH_BINS + 1)
        axes.set_yticks(np.arange(DEPTH_BINS + 1) - 0.5, [f"{edge:.0f}%" for edge in edges])
        axes.set_title(_wrapped(label, 30), fontsize="medium")
    for axes in panels[len(runs) :]:
        axes.set_axis_off()
    figure.supxlabel("length of the documents (tokens)")
    figure.supylabel("depth of the needle")
    return figure


def accuracy_by_depth(hits: Hits) -> NDArray[np.float64]:
    """Accuracy in equal ranges of depth.

    Args:
        hits: Depth, from 0 to 1, and whether the needle was found.

    Returns:
        Shape (DEPTH_BINS,), from 0 to 100; NaN where there was no needle.
    """
    found: list[list[bool]] = [[] for _ in range(DEPTH_BINS)]
    for depth, hit in hits:
        found[min(int(depth * DEPTH_BINS), DEPTH_BINS - 1)].append(hit)
    return np.array([100 * np.mean(of_bin) if of_bin else np.nan for of_bin in found])


def length_lines(results: Sequence[Result]) -> Figure:
    """Methods against each other by length.

    Args:
        results: Of one generated task.
    """
    runs = by_run(results)
    lengths = _lengths(results)
    figure, axes = _with_room_for_labels(runs)
    axes.set_xscale("log", base=2)
    ends = []
    for style, (_, of_run) in zip(_styles(runs.values()), runs.items(), strict=True):
        places = [result.length or 0 for result in of_run]
        scores = [100 * result.score for result in of_run]
        axes.plot(places, scores, linewidth=1.4, markersize=5, **style)
        ends.append((places[-1], scores[-1], style["color"]))
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.minorticks_off()
    axes.set_ylim(-4, 104)
    axes.set_xlabel("length of the documents (tokens)")
    axes.set_ylabel("accuracy x 100")
    axes.grid(axis="y", color="0.9")
    axes.set_title(f"{results[0].task}: methods by length")
    _label_on_the_right(axes, list(runs), ends)
    return figure


def score_time(results: Sequence[Result]) -> Figure:
    """Score against the time to read a document; of generated tasks, the longest length.

    Args:
        results: Of one task.
    """
    longest = max((result.length or 0) for result in results)
    shown = [result for result in results if (result.length or 0) == longest]
    runs = by_run(shown)
    figure, axes = _with_room_for_labels(runs)
    axes.set_xscale("log")
    ends = []
    for style, (result, *_) in zip(_styles(runs.values()), runs.values(), strict=True):
        place = (max(result.reading.seconds_per_document, 1e-6), 100 * result.score)
        axes.plot(*place, markersize=8, **{**style, "linestyle": ""})
        ends.append((*place, style["color"]))
    axes.margins(x=0.1)
    axes.set_ylim(-4, 104)
    score = SCORE_NAMES.get(shown[0].main_score, shown[0].main_score)
    axes.set_xlabel("seconds to read a document")
    axes.set_ylabel(f"{score} x 100")
    axes.grid(color="0.9")
    length = f", {longest:,} tokens" if longest else ""
    axes.set_title(f"{shown[0].task}{length}: score against time")
    _label_on_the_right(axes, list(runs), ends)
    return figure


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places on a line apart, in their order, so that labels do not overlap.

    Args:
        places: Where the labels belong.
        gap: The least distance between two.
        low: The lower end of the line.
        high: The upper end of the line.

    Returns:
        Where the labels go.
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    moved = [0.0] * len(places)
    floor = low
    for index in order:
        moved[index] = floor = max(places[index], floor)
        floor += gap
    ceiling = high
    for index in reversed(order):
        moved[index] = ceiling = min(moved[index], ceiling)
        ceiling -= gap
    return moved


def _shaded_grid(axes: Axes, grid: NDArray[np.float64]) -> None:
    """Cells from 0 to 100 with their value in them; cells without one stay hatched."""
    axes.set_facecolor("white")
    axes.imshow(np.ma.masked_invalid(grid), cmap=SHADES, vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        if np.isnan(value):
            axes.text(column, row, "-", ha="center", va="center", color="0.4")
        else:
            ink = "white" if value > 60 else "black"
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink, fontsize=9)
    axes.tick_params(length=0)


def _styles(runs: Iterable[Sequence[Result]]) -> Iterable[dict[str, Any]]:
    """Ink by model, dashes and marker by run."""
    inks = cycle(INKS)
    ink_of: dict[str, str] = {}
    for dashes, marker, of_run in zip(cycle(DASHES), cycle(MARKERS), runs, strict=False):
        model = of_run[0].model
        if model not in ink_of:
            ink_of[model] = next(inks)
        yield {"color": ink_of[model], "linestyle": dashes, "marker": marker}


def _with_room_for_labels(labels: Collection[str]) -> tuple[Figure, Axes]:
    """An empty picture, as high and as wide as names on its right need."""
    figure = Figure(
        figsize=(5.8 + 0.08 * max(map(len, labels)), max(4.0, 0.27 * len(labels) + 1)),
        layout="constrained",
    )
    return figure, figure.add_subplot()


def _label_on_the_right(
    axes: Axes, labels: Sequence[str], ends: Sequence[tuple[float, float, object]]
) -> None:
    """Names beside the points that they belong to, with a thin line to each."""
    low, high = axes.get_ylim()
    heights = spread([y for _, y, _ in ends], 5.2, low + 2, high - 2)
    for label, height, (x, y, ink) in zip(labels, heights, ends, strict=True):
        axes.annotate(
            label,
            xy=(x, y),
            xytext=(1.04, (height - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
            color=ink,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": "0.6",
                "linewidth": 0.6,
                "relpos": (0, 0.5),
                "shrinkB": 4,
            },
        )


def _lengths(results: Sequence[Result]) -> list[int]:
    return sorted({result.length for result in results if result.length is not None})


def _short(length: int) -> str:
    return f"{length // 1024}k" if length >= 1024 and length % 1024 == 0 else str(length)


def _wrapped(label: str, width: int) -> str:
    """A label on several lines if it is long, broken before its method and its settings."""
    if len(label) <= width:
        return label
    model, _, method = label.rpartition(" ")
    method = method.replace(":", ":\n").replace(",", ",\n") if len(method) > width else method
    return f"{model}\n{method}".strip()


def _save(figure: Figure, path: Path, suffix: str) -> None:
    write_atomically(
        path,
        lambda file: figure.savefig(file, format=suffix, dpi=DOTS_PER_INCH, bbox_inches="tight"),
    )
