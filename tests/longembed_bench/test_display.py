"""The tables, in the width of an old terminal."""

from __future__ import annotations

import io

from rich.console import Console

from longembed_bench.display import show_results
from longembed_bench.results import Result
from longembed_bench.retrievers import Cost

LENGTHS = (256, 512, 1024, 2048, 4096)


def escaped(*methods: str) -> list[str]:
    """What is printed of perfect runs: the widest cells there are."""
    cost = Cost(100, 2660, 1000, 1000, 1234.5, 384)
    results = [
        Result("gte-small", method, "passkey", n, 1.0, "accuracy", cost, [], "", "", {})
        for method in methods
        for n in LENGTHS
    ]
    console = Console(width=80, file=io.StringIO(), record=True)
    show_results(console, results)
    return console.export_text().splitlines()


def test_all_standard_lengths_fit_into_80_columns() -> None:
    lines = [line.split() for line in escaped("chunks", "pi:logn_scaling=true")]
    cells = [*["100.0"] * len(LENGTHS), "100%", "26.6", "40.9", "12.3"]
    assert ["gte-small", "chunks", *cells] in lines
    # Broken where the label has its space, and nowhere else.
    first = lines.index(["gte-small", *cells])
    assert lines[first + 1] == ["pi:logn_scaling=true"]


def test_notes_stand_below_the_tables_that_they_are_about() -> None:
    plain = escaped("pcw")
    assert max(map(len, plain)) <= 80
    assert "finds documents by their subject" in " ".join(plain)
    assert "fitted on the corpus" not in " ".join(plain)
    assert "fitted on the corpus" in " ".join(escaped("pcw:whiten=true"))
