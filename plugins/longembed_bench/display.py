"""What the commands print: the progress, and the tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich import box
from rich import progress as bars
from rich.table import Column, Table
from rich.text import Text

from longembed_bench.calibrate import Choice
from longembed_bench.results import Result
from longembed_bench.runs import CHUNKS, Run
from longembed_bench.tables import score_tables
from longembed_bench.tasks import Task
from longembed_bench.weights import Weights
from longembed_index.modes import WEIGHT
from longembed_st.command.display import Bars, loading, percent
from longembed_st.command.terminal import Terminal


class Progress:
    """A bar over all documents that are still to be read.

    Args:
        console: Where to draw.
        runs: The lines of the tables.
        tasks: The tasks.
    """

    def __init__(self, console: Terminal, runs: Sequence[Run], tasks: Sequence[Task]) -> None:
        self._bars = Bars(*_columns(), console=console)
        self._all = self._bars.add_task("tasks", total=len(runs) * len(tasks))
        self._one = self._bars.add_task("", total=None, visible=False)
        self._begun = 0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._bars.update(self._all, completed=self._begun)
        self._bars.stop()

    def on_run(self, run: Run, task: Task, missing: list[str]) -> None:
        """A run begins with a task.

        Args:
            run: The run.
            task: The task.
            missing: The splits that are not measured yet.
        """
        documents = sum(len(task.data[split].documents) for split in missing)
        in_chunks = run.method.name == CHUNKS
        self._bars.update(self._all, completed=self._begun)
        self._begun += 1
        self._bars.reset(
            self._one,
            description=f"{run.label}, {task.label}: {'chunks' if in_chunks else 'documents'}",
            # How many chunks there are is not known before the documents are tokenized.
            total=None if in_chunks else documents,
            visible=True,
        )

    def on_texts(self, count: int) -> None:
        """So many documents, or chunks of them, were read.

        Args:
            count: How many.
        """
        self._bars.advance(self._one, count)


@contextmanager
def calibration_bar(
    console: Terminal,
) -> Iterator[tuple[Callable[[str, int], None], Callable[[int], None]]]:
    """A bar over the documents that one method reads.

    Args:
        console: Where to draw.

    Yields:
        To be called as a method begins, and as documents are read.
    """
    with Bars(*_columns(), console=console) as shown:
        bar = shown.add_task("", total=None)

        def on_method(label: str, documents: int) -> None:
            shown.reset(bar, description=f"{label}: documents", total=documents)

        yield on_method, lambda count: shown.advance(bar, count)


@contextmanager
def quiet(console: Terminal) -> Iterator[None]:
    """Keep the bars and notes of the libraries away from the command's own output.

    Args:
        console: Where that is printed.
    """
    loggers = [logging.getLogger(name) for name in ("mteb", "bm25s")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with loading(console):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def show_results(console: Terminal, results: Sequence[Result]) -> None:
    """Print one table a task.

    Args:
        console: Where to print.
        results: All scores.
    """
    for scores in score_tables(results):
        # Without rules between columns, five lengths and a method with a setting fit into 80
        # characters; so does "vecs/doc" in two lines.
        table = Table(
            title=scores.title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            collapse_padding=True,
            pad_edge=False,
        )
        for place, heading in enumerate(scores.headings):
            table.add_column(
                Text(heading.replace("/", "\n/")),
                justify="right" if place else "left",
                overflow="fold",
            )
        for row in scores.rows:
            table.add_row(row.label, *row.cells)
        console.print(table)
        if scores.note:
            console.print(scores.note)


def show_choice(console: Terminal, choice: Choice) -> None:
    """Print what each method scored and cost, and what follows.

    Args:
        console: Where to print.
        choice: The outcome of a calibration.
    """
    table = Table(title="nDCG@10 x 100", title_justify="left")
    for place, heading in enumerate(("method", "score", "read", "s/doc")):
        table.add_column(heading, justify="right" if place else "left")
    for candidate in choice.candidates:
        table.add_row(
            candidate.label,
            f"{100 * candidate.score:.1f}",
            percent(candidate.reading.coverage),
            f"{candidate.reading.seconds_per_document:.3f}",
        )
    console.print(table)
    best, second = choice.candidates[:2]
    mean, low, high = (100 * value for value in choice.margin)
    times = best.reading.seconds_per_document / second.reading.seconds_per_document
    verdict = "" if choice.is_clear else "; with these queries, the two cannot be told apart"
    console.say(
        f"Use {best.label}: {mean:+.1f} over {second.label} (95% interval {low:+.1f} to "
        f"{high:+.1f}), at {times:.1f} times its time{verdict}."
    )


def show_weights(console: Terminal, weights: Weights, *, questions: bool) -> None:
    """Print what a search by words and vectors finds at each weight, and what follows.

    Args:
        console: Where to print.
        weights: The outcome.
        questions: Whether the queries are questions, not passages.
    """
    table = Table(title="Words beside its vectors, nDCG@10 x 100", title_justify="left")
    table.add_column("weight of the vectors")
    table.add_column("score", justify="right")
    said = {0.0: " (words alone)", 1.0: " (vectors alone)", WEIGHT: " (the default)"}
    for weight, score in weights.scores.items():
        table.add_row(f"{weight}{said.get(weight, '')}", f"{100 * score:.1f}")
    console.print(table)
    mean, low, high = (100 * value for value in weights.margin)
    advised = weights.ranking
    advice = f"Search with --weight {advised.weight}"
    if advised.mode != "hybrid":
        advice = f"Search with --mode {advised.mode}"
    elif advised.weight == WEIGHT:
        advice = f"Keep the default weight of {WEIGHT}"
    console.say(
        f"{advice}: {weights.best}, the best on every second query, is {mean:+.1f} from the "
        f"default on the others (95% interval {low:+.1f} to {high:+.1f})."
    )
    if not questions:
        console.say(
            "The queries are passages, which have the words of their documents: real questions "
            "gain more by vectors than these do. So the weight is not in the file."
        )


def _columns() -> tuple[bars.ProgressColumn, ...]:
    whole = Column(no_wrap=True)
    return (
        # In a narrow terminal this one goes into two lines, so that no number is cut off.
        bars.TextColumn("{task.description}", markup=False, table_column=Column()),
        bars.MofNCompleteColumn(table_column=whole),
        bars.BarColumn(bar_width=16, table_column=whole),
        bars.TimeElapsedColumn(table_column=whole),
        bars.TimeRemainingColumn(table_column=whole),
        bars.TextColumn("left"),
    )
