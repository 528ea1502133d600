"""What the commands print, in the width of an old terminal."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from longembed_bench.data import RetrievalData
from longembed_bench.display import Progress, show_results
from longembed_bench.results import Result
from longembed_bench.retrievers import Reading
from longembed_bench.runs import MethodChoice, ModelSource, Run

LENGTHS = (256, 512, 1024, 2048, 4096)


def results(method: str) -> list[Result]:
    """A perfect run: the widest cells there are."""
    reading = Reading(100, 2660, 1000, 1000, 1234.5, 1.0, 384)
    return [
        Result(
            "gte-small", method, "passkey", f"test_{n}", 1.0, "ndcg_at_1", reading, [], "sha256:0"
        )
        for n in LENGTHS
    ]


def test_the_bar_fits_into_80_columns(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(width=80, file=io.StringIO(), record=True, force_terminal=True)
    run = Run(ModelSource("gte-small", "."), MethodChoice.parse("pi:logn_scaling=true"))
    data = {"test_4096": RetrievalData({f"d{n}": "" for n in range(10000)}, {}, {})}
    task = SimpleNamespace(label="passkey", data=data)
    with Progress(console, [run], [task]) as progress:
        progress.on_run(run, task, ["test_4096"])
        progress.on_texts(9998)
    shown = console.export_text()
    assert {"9998/10000", "0:00:00", "pi:logn_scaling=true,", "documents"} <= set(shown.split())
    assert "…" not in shown


def test_all_standard_lengths_fit_into_80_columns() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    show_results(console, [*results("chunks"), *results("pi:logn_scaling=true")])
    lines = [line.split() for line in console.export_text().splitlines()]
    cells = [*["100.0"] * len(LENGTHS), "100%", "26.6", "40.9", "12.3"]
    assert ["gte-small", "chunks", *cells] in lines
    # Broken where the label has its space, and nowhere else.
    first = lines.index(["gte-small", *cells])
    assert lines[first + 1] == ["pi:logn_scaling=true"]


def test_a_generated_task_says_what_it_cannot_show() -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    show_results(console, results("pcw"))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert "what they are about, it does not show" in " ".join(" ".join(lines).split())
