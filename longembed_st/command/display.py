"""Progress bars and figures that several commands print."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from longembed_st.base.progress import report_progress_to
from longembed_st.command.terminal import Terminal

_SPEED_SECONDS = 300.0
"""A speed is measured over this time, as one long document may take minutes."""


def percent(share: float) -> str:
    """Write a share in percent; almost all is never rounded to all."""
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


@contextmanager
def loading(console: Terminal, model: str | None = None) -> Iterator[None]:
    """Say that a model is being loaded, and hide the progress bars of transformers.

    Imports of the libraries of models belong inside the block, too. A download shows its bar.
    Without a name, nothing is said.
    """
    if model is not None:
        console.say(f"Loading {model}", style="dim")
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


class Bars(Progress):
    """Rich's bars; without a terminal, a line every half minute instead."""

    every = 30.0
    """Seconds between two lines."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        super().__init__(
            *columns,
            console=console,
            disable=not console.is_interactive,
            speed_estimate_period=_SPEED_SECONDS,
        )
        self._ended = Event()
        self._lines = Thread(target=self._print_lines, daemon=True)

    def start(self) -> None:
        """Begin to draw, or to print."""
        super().start()
        if self.disable:
            self._lines.start()

    def stop(self) -> None:
        """End it, too."""
        super().stop()
        self._ended.set()
        if self._lines.is_alive():
            self._lines.join()

    def _print_lines(self) -> None:
        while not self._ended.wait(self.every):
            for task in self.tasks:
                if task.visible and not task.finished:
                    cells = (column(task) for column in self.columns)  # type: ignore[operator]
                    words = [cell.plain for cell in cells if isinstance(cell, Text)]
                    line = " ".join(" ".join(words).split())
                    self.console.print(Text(line), soft_wrap=True)


@contextmanager
def document_bar(console: Console, count: int, doing: str = "") -> Iterator[Callable[[], None]]:
    """Show a bar that counts documents, and moves while a long one is read.

    Yields:
        A function to call after each document.
    """
    label = f"{doing}: documents" if doing else "documents"
    counted = TextColumn("{task.fields[done]:,}/{task.total:,}")
    columns = (TextColumn(label), counted, BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    done = 0
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("", total=count, done=0)

        def on_document() -> None:
            nonlocal done
            done += 1
            bars.update(task, completed=done, done=done)

        def on_tokens(read: int, of: int) -> None:
            bars.update(task, completed=min(done + read / of, count))

        with report_progress_to(on_tokens):
            yield on_document
