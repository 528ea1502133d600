"""The command `longembed evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longembed_index.command.options import CollectionOption, JsonOption, StoreOption, open_index
from longembed_st.command.display import document_bar, loading
from longembed_st.command.options import DeviceOption, path_argument, settings_from_options
from longembed_st.command.terminal import print_json, terminal

if TYPE_CHECKING:
    from longembed_bench.evaluate import Line

_SHOWN = 5
"""Questions without an answer that are named."""


def evaluate(
    questions: Annotated[
        Path,
        typer.Argument(
            parser=path_argument,
            metavar="QUESTIONS.jsonl",
            help="Your questions, one JSON object a line: question, and what answers it: document "
            "(id, title or file name), page (a number or several), answer (its text).",
            show_default=False,
        ),
    ],
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    device: DeviceOption = None,
    baseline: Annotated[
        bool,
        typer.Option(
            help="Compare with chunks of 1,000 characters of the same documents, which the same "
            "model embeds first; that takes about as long as indexing."
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Try an index on your own questions: is the answer in what a prompt would get?

    For each question the command looks for its document, and for its answer in the best passages of
    150, 300, 600 and 1,200 words, among all documents.

    A line is {"question": "Who approved the budget?", "document": "minutes.pdf", "page": 12}.

    Example: `longembed evaluate questions.jsonl --store ./store`
    """
    from rich.table import Table

    from longembed_bench.evaluate import (
        BUDGETS,
        FOUND,
        Chunks,
        ask,
        read_questions,
        unanswerable,
        verdict,
    )

    asked = read_questions(questions)
    progress = terminal(stderr=True)
    settings = settings_from_options(device=device)
    with open_index(store, collection, settings=settings) as index, loading(progress):
        reasons = unanswerable(index, asked)
        if reasons:
            progress.say(
                f"Warning: nothing can answer {len(reasons)} of the {len(asked)} questions, which "
                "lowers all shares:"
            )
            for reason in reasons[:_SHOWN]:
                progress.say(f"  {reason}")
        lines: dict[str, Line] = {}
        with document_bar(progress, len(asked), "questions") as on_question:
            lines["this index"] = ask(index, asked, on_question)
        if baseline:
            with document_bar(progress, len(index), "chunks") as on_document:
                chunks = Chunks(index, on_document)
            lines["chunks"] = chunks.ask(asked)
    if as_json:
        print_json({name: _plain(line) for name, line in lines.items()})
        return
    rows = [
        ("right document first", [_percent(line.first) for line in lines.values()]),
        (
            f"right document among the first {FOUND}",
            [_percent(line.found) for line in lines.values()],
        ),
    ]
    for budget in BUDGETS:
        shares = [_percent(line.answered[budget].mean()) for line in lines.values()]
        rows.append((f"answer within {budget:,} words", shares))
    rows.append(
        ("milliseconds a question", [f"{line.milliseconds:.0f}" for line in lines.values()])
    )
    table = Table("share of the questions")
    for name in lines:
        table.add_column(name, justify="right")
    for measure, values in rows:
        table.add_row(measure, *values)
    console = terminal()
    console.print(table)
    if baseline:
        console.say(verdict(*lines.values()))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _plain(line: Line) -> dict[str, object]:
    answered = {str(budget): float(row.mean()) for budget, row in line.answered.items()}
    return {**vars(line), "answered": answered}
