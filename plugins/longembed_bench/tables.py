"""Scores as tables: a table a task, a line a run, a column a length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longembed_bench.results import Result
from longembed_bench.runs import WHITEN
from longembed_bench.tasks import NEEDLE, PASSKEY
from longembed_st.command.display import percent

WHITEN_TRUE = f"{WHITEN}=true"
FITTED = f"{WHITEN_TRUE}: fitted on the corpus that is searched, no labels."

SCORE_NAMES = {"ndcg_at_1": "accuracy", "ndcg_at_10": "nDCG@10"}


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        label: The model and the method.
        cells: As printed, in the order of the headings behind the label.
    """

    label: str
    cells: list[str]


SHOWS = {
    PASSKEY: "Passkey hides one number in a text that is the same everywhere: it shows whether a "
    "model reads to the end, and whether a vector holds a detail. Words find the number by its "
    "digits, which one vector of a long text hardly holds. How well documents are found by what "
    "they are about, it does not show: measure that on your own (--data), or with -t qmsum.",
    NEEDLE: "Needle hides one fact in long texts that are alike: it shows what a vector holds of a "
    "detail, not how well documents are found by what they are about (--data, -t qmsum).",
}
"""What a generated task can and cannot show."""


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one task.

    Attributes:
        title: The task and its score.
        headings: Of the columns.
        rows: The lines.
        note: What must be said of the task, or of some lines; may be empty.
    """

    title: str
    headings: list[str]
    rows: list[Row]
    note: str


def score_tables(results: Sequence[Result]) -> list[ScoreTable]:
    """Arrange scores by task, each beside its coverage and its cost.

    Coverage, vectors and time are those of a run's longest documents.

    Args:
        results: All scores.
    """
    tasks = list(dict.fromkeys(result.task for result in results))
    return [_table([result for result in results if result.task == task]) for task in tasks]


def by_run(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The scores of each run by length, BM25 last, in the order of models and methods.

    Args:
        results: Of one task.
    """
    ordered = sorted(results, key=lambda r: (not r.model, r.model, r.method, r.length or 0))
    runs: dict[str, list[Result]] = {}
    for result in ordered:
        runs.setdefault(result.label, []).append(result)
    return runs


def _table(results: list[Result]) -> ScoreTable:
    score = SCORE_NAMES.get(results[0].main_score, results[0].main_score)
    splits = sorted({(result.length or 0, result.split) for result in results})
    rows = []
    for label, of_run in by_run(results).items():
        scores = {result.split: f"{100 * result.score:.1f}" for result in of_run}
        longest = of_run[-1].reading
        rows.append(
            Row(
                label,
                [
                    *(scores.get(split, "-") for _, split in splits),
                    percent(longest.coverage),
                    f"{longest.vectors_per_document:.1f}" if longest.vectors else "-",
                    f"{longest.bytes_per_document / 1000:.1f}" if longest.width else "-",
                    f"{longest.seconds_per_document:.3g}",
                ],
            )
        )
    lengths = [f"{length:,}" if length else score for length, _ in splits]
    title = f"{results[0].task}, {score} x 100"
    headings = ["run", *lengths, "read", "vecs/doc", "kB/doc", "s/doc"]
    fitted = any(WHITEN_TRUE in result.method for result in results)
    notes = [SHOWS.get(results[0].task, ""), FITTED if fitted else ""]
    return ScoreTable(title, headings, rows, " ".join(note for note in notes if note))
