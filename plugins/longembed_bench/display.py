"""The tables that `longembed bench` and `longembed calibrate` print."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from longembed_bench.calibrate import Choice
from longembed_bench.results import Result
from longembed_bench.runs import WHITEN
from longembed_bench.tasks import NEEDLE, PASSKEY
from longembed_bench.weights import Weights
from longembed_index.search.ranking import WEIGHT
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


def show_choice(console: Terminal, choice: Choice) -> None:
    """Print what each method scored and cost, and which to use."""
    table = Table(title="nDCG@10 x 100", title_justify="left")
    for heading in ("method", "score", "read", "s/doc"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for candidate in choice.candidates:
        table.add_row(
            candidate.label,
            f"{100 * candidate.score:.1f}",
            percent(candidate.cost.coverage),
            f"{candidate.cost.seconds_per_document:.3f}",
        )
    console.print(table)
    best, default = choice.best, choice.default
    interval = _interval(choice.margin)
    if choice.is_clear:
        times = best.cost.seconds_per_document / default.cost.seconds_per_document
        console.say(
            f"Use {best.label}: {interval} over {default.label}, at {times:.1f} times its time."
        )
    elif choice.is_too_easy:
        console.say(f"Keep {default.label}: {_too_easy('method', choice.candidates[-1].score)}")
    elif best is default:
        console.say(f"Keep {default.label}: no other method was better.")
    else:
        console.say(
            f"Keep {default.label}: no other method was clearly better ({best.label}: {interval})."
        )


def _interval(margin: tuple[float, float, float]) -> str:
    mean, low, high = (100 * value for value in margin)
    return f"{mean:+.1f} (95% interval {low:+.1f} to {high:+.1f})"


def _too_easy(kind: str, score: float) -> str:
    return (
        f"the queries are too easy to tell one {kind} from another: the worst one reaches "
        f"{100 * score:.1f}. Try more documents, or harder questions of your own."
    )


def show_weights(console: Terminal, weights: Weights, *, questions: bool) -> None:
    """Print the scores of words beside vectors at each weight, and which weight to use."""
    table = Table(title="Words beside its vectors, nDCG@10 x 100", title_justify="left")
    table.add_column("weight of the vectors")
    table.add_column("score", justify="right")
    names = {0.0: " (words alone)", 1.0: " (vectors alone)", WEIGHT: " (the default)"}
    for weight, score in weights.scores.items():
        table.add_row(f"{weight}{names.get(weight, '')}", f"{100 * score:.1f}")
    console.print(table)
    if not questions:
        console.say(
            f"Keep weight {WEIGHT}: these queries are passages, which have the words of their "
            "documents, so that they cannot tell which weight suits questions."
        )
    elif weights.is_clear:
        mode, weight = weights.ranking.mode, weights.ranking.weight
        advice = f"weight {weight}" if mode == "hybrid" else f"mode {mode}"
        console.say(f"Use {advice}: {_interval(weights.margin)} over the default, weight {WEIGHT}.")
    elif weights.is_too_easy:
        console.say(f"Keep weight {WEIGHT}: {_too_easy('weight', min(weights.scores.values()))}")
    elif weights.best == WEIGHT:
        console.say(f"Keep weight {WEIGHT}: no other weight was better.")
    else:
        console.say(
            f"Keep weight {WEIGHT}: no other weight was clearly better (weight {weights.best}: "
            f"{_interval(weights.margin)})."
        )
