"""What `longembed calibrate` prints."""

from __future__ import annotations

from rich.table import Table

from longembed_bench.calibrate import Choice
from longembed_bench.weights import Weights
from longembed_index.search.ranking import WEIGHT
from longembed_st.command.display import percent
from longembed_st.command.terminal import Terminal


def show_choice(console: Terminal, choice: Choice) -> None:
    """Print what each method scored and cost, and which to use.

    Args:
        console: Where to print.
        choice: The outcome of a calibration.
    """
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
    best, second = choice.candidates[:2]
    mean, low, high = (100 * value for value in choice.margin)
    times = best.cost.seconds_per_document / second.cost.seconds_per_document
    verdict = "" if choice.is_clear else "; with these queries, the two cannot be told apart"
    console.say(
        f"Use {best.label}: {mean:+.1f} over {second.label} (95% interval {low:+.1f} to "
        f"{high:+.1f}), at {times:.1f} times its time{verdict}."
    )


def show_weights(console: Terminal, weights: Weights, *, questions: bool) -> None:
    """Print the scores of words beside vectors at each weight, and which weight to use.

    Args:
        console: Where to print.
        weights: The scores.
        questions: Whether the queries are questions, not passages.
    """
    table = Table(title="Words beside its vectors, nDCG@10 x 100", title_justify="left")
    table.add_column("weight of the vectors")
    table.add_column("score", justify="right")
    names = {0.0: " (words alone)", 1.0: " (vectors alone)", WEIGHT: " (the default)"}
    for weight, score in weights.scores.items():
        table.add_row(f"{weight}{names.get(weight, '')}", f"{100 * score:.1f}")
    console.print(table)
    mean, low, high = (100 * value for value in weights.margin)
    mode, weight = weights.ranking.mode, weights.ranking.weight
    advice = f"Use --weight {weight}" if mode == "hybrid" else f"Use --mode {mode}"
    console.say(
        f"{advice}: {weights.best}, the best on every second query, is {mean:+.1f} from the "
        f"default on the others (95% interval {low:+.1f} to {high:+.1f})."
    )
    if not questions:
        console.say(
            "The queries are passages, which have the words of their documents: real questions "
            "gain more by vectors than these do. So the weight is not in the file."
        )
