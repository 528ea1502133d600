"""The tables, in the width of an old terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from longembed_bench.calibrate import Candidate, Choice
from longembed_bench.display import show_choice, show_results, show_weights
from longembed_bench.results import Result
from longembed_bench.retrievers import Cost
from longembed_bench.weights import WEIGHTS, Weights
from longembed_st.base.settings import ModelSettings
from longembed_st.command.terminal import Terminal

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


def verdict(show, *arguments, **options) -> str:
    """The last line of what is printed."""
    console = Terminal(width=200, file=io.StringIO(), record=True)
    show(console, *arguments, **options)
    return console.export_text().splitlines()[-1]


def candidate(label: str, score: float) -> Candidate:
    cost = Cost(100, 2660, 1000, 1000, 1234.5, 384)
    return Candidate(label, ModelSettings(method=label), np.array([score]), cost, None, {})


def test_a_calibration_ends_with_one_sentence() -> None:
    pi, pcw = candidate("pi", 0.6), candidate("pcw", 0.5)
    weights = Weights(dict.fromkeys(WEIGHTS, 0.5), 0.2, (0, 0, 0))
    clear = Choice([pi, pcw], pcw, (0.1, 0.02, 0.2), weights)
    assert verdict(show_choice, clear).startswith("Use pi: +10.0 (95% interval +2.0 to +20.0) over")
    assert clear.chosen is pi
    unclear = Choice([pi, pcw], pcw, (0.1, -0.02, 0.2), weights)
    assert verdict(show_choice, unclear).startswith(
        "Keep pcw: no other method was clearly better ("
    )
    assert unclear.chosen is pcw
    best = Choice([pcw], pcw, (0, 0, 0), weights)
    assert verdict(show_choice, best) == "Keep pcw: no other method was better."
    easy = Choice([candidate("pi", 1), candidate("pcw", 0.97)], pcw, (0, 0, 0), weights)
    assert verdict(show_choice, easy).startswith(
        "Keep pcw: the queries are too easy to tell one method from another: the worst one"
    )


def test_a_weight_is_advised_only_if_it_can_be_told_apart() -> None:
    scores = dict.fromkeys(WEIGHTS, 0.5)
    for weights, line in (
        (Weights(scores, 0.2, (0, 0, 0)), "Keep weight 0.2: no other weight was better."),
        (
            Weights(dict.fromkeys(WEIGHTS, 0.96), 0.2, (0, 0, 0)),
            "Keep weight 0.2: the queries are too",
        ),
        (Weights(scores, 0.9, (0.1, -0.1, 0.2)), "Keep weight 0.2: no other weight was clearly"),
        (Weights(scores, 0.9, (0.1, 0.01, 0.2)), "Use weight 0.9: +10.0 (95% interval +1.0 to"),
        (Weights(scores, 0.0, (0.1, 0.01, 0.2)), "Use mode lexical: +10.0"),
    ):
        assert verdict(show_weights, weights, questions=True).startswith(line)
    assert Weights(scores, 0.9, (0.1, -0.1, 0.2)).ranking.weight == 0.2
