"""The plot of each task."""

from __future__ import annotations

from dataclasses import replace

from longembed_bench.plot import draw, write_plots
from longembed_bench.results import Result
from longembed_bench.retrievers import Cost

RESULT = Result(
    *("small", "pcw", "mydata", None, 0.5, "nDCG@10"),
    *(Cost(100, 100, 900, 800, 150.0, 32), [], "data", "revision", {}),
)
BY_LENGTH = [
    replace(RESULT, task="passkey", metric="accuracy", length=n, score=64 / n)
    for n in (64, 128, 256)
]


def test_scores_by_length() -> None:
    (axes,) = draw([*BY_LENGTH, *(replace(r, method="none") for r in BY_LENGTH)]).axes
    first, second = axes.lines
    assert first.get_xydata().tolist() == [[64, 100], [128, 50], [256, 25]]
    assert [line.get_label() for line in axes.lines] == ["small pcw", "small none"]
    # Without colour, too.
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()


def test_scores_against_time() -> None:
    (axes,) = draw([RESULT]).axes
    assert axes.lines[0].get_xydata().tolist() == [[1.5, 50]]
    assert axes.get_xlabel() == "seconds to read a document"


def test_one_file_a_task(tmp_path) -> None:
    write_plots([RESULT, *BY_LENGTH], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mydata.png", "passkey.png"}
