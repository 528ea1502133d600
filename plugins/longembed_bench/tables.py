"""The results as tables on the screen: a table a task, a line a run, a column a length."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from longembed_bench.results import Result
from longembed_bench.runs import WHITEN
from longembed_bench.tasks import NEEDLE, PASSKEY
from longembed_st.command.display import percent
from longembed_st.command.terminal import Terminal

WHITEN_TRUE = f"{WHITEN}=true"
NOTES = {
    PASSKEY: "Passkey hides a number in a text that is the same everywhere. It shows whether a "
    "model reads to the end, not how well it finds documents by their subject.",
    NEEDLE: "Needle hides a fact in texts that are alike. It shows what a vector keeps of a "
    "detail, not how well documents are found by their subject.",
    WHITEN_TRUE: f"{WHITEN_TRUE}: fitted on the corpus that is searched, no labels.",
}


def show_results(console: Terminal, results: Sequence[Result]) -> None:
    """Print one table a task.

    What was read, the size of vectors and the time are those of a run's longest documents.

    Args:
        console: Where to print.
        results: All results, task by task.
    """
    for task, group in groupby(results, key=lambda result: result.task):
        of_task = list(group)
        console.print(_table(of_task))
        methods = " ".join(result.method for result in of_task)
        for subject in (task, WHITEN_TRUE):
            if subject in NOTES and (subject == task or subject in methods):
                console.print(NOTES[subject])


def _table(results: Sequence[Result]) -> Table:
    lengths = sorted({result.length or 0 for result in results})
    # No rules between columns: five lengths and a method with a setting fit into 80 characters.
    table = Table(
        title=f"{results[0].task}, {results[0].metric} x 100",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("run", overflow="fold")
    columns = [f"{length:,}" if length else "score" for length in lengths]
    for heading in (*columns, "read", "vecs\n/doc", "kB\n/doc", "s\n/doc"):
        table.add_column(Text(heading), justify="right")
    for label, group in groupby(results, key=lambda result: result.label):
        of_run = list(group)
        scores = {result.length or 0: f"{100 * result.score:.1f}" for result in of_run}
        cost = of_run[-1].cost
        table.add_row(
            label,
            *(scores.get(length, "-") for length in lengths),
            percent(cost.coverage),
            f"{cost.vectors_per_document:.1f}" if cost.vectors else "-",
            f"{cost.bytes_per_document / 1000:.1f}" if cost.width else "-",
            f"{cost.seconds_per_document:.3g}",
        )
    return table
