"""Progress bars of the commands that embed documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from longembed_st.base.progress import report_progress_to
from longembed_st.command.display import Bars

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task

    from longembed_index.maintain.report import Outcome


TOKENS_PER_BYTE = 0.25
"""Plain English text has about so many; used until something was measured."""


class Forecast:
    """The tokens and the seconds that are left, by what was measured so far.

    The number of tokens of a document is known when it is read; until then, the bytes of those that
    were read tell. Time for documents that need no embedding does not count.
    """

    def __init__(self, now: float) -> None:
        self.total: int | None = None
        self._embedded = self._embedded_bytes = self._settled_bytes = 0
        self._reading = self._reading_total = 0
        self._seconds, self._last = 0.0, now

    @property
    def tokens(self) -> int:
        """Return the number of tokens embedded so far, those of unfinished documents included."""
        return self._embedded + self._reading

    @property
    def tokens_left(self) -> float | None:
        """Return the number of tokens that are left to embed; None as long as nothing tells."""
        in_progress = max(self._reading_total - self._reading, 0)
        if self.total is None:
            return in_progress or None
        known = self._embedded_bytes
        rate = self._embedded / known if known else TOKENS_PER_BYTE
        left = (self.total - self._settled_bytes) * rate - self._reading
        return max(left, in_progress)

    def on_tokens(self, read: int, total: int, now: float) -> None:
        """Note how many tokens of the documents in progress were read."""
        self._reading, self._reading_total = read, total
        self._count_time(now)

    def on_outcome(self, outcome: Outcome, now: float) -> None:
        """Note that a document is done."""
        self._settled_bytes += outcome.size
        if not (outcome.is_embedded and outcome.tokens):
            self._last = now
            return
        self._embedded += outcome.tokens
        self._embedded_bytes += outcome.size
        self._reading = max(self._reading - outcome.tokens, 0)
        self._reading_total = max(self._reading_total - outcome.tokens, 0)
        self._count_time(now)

    def seconds_left(self, now: float) -> float | None:
        """Return the time that is left, in seconds; None as long as nothing was measured."""
        left = self.tokens_left
        if left is None or not self.tokens or not self._seconds:
            return None
        return max(left * self._seconds / self.tokens - (now - self._last), 0.0)

    def _count_time(self, now: float) -> None:
        self._seconds += now - self._last
        self._last = now


class _TimeLeft(ProgressColumn):
    def __init__(self, forecast: Forecast) -> None:
        super().__init__()
        self._forecast = forecast

    def render(self, task: Task) -> Text:
        seconds = self._forecast.seconds_left(time.perf_counter())
        duration = "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))
        return Text(f"{duration} left", style="progress.remaining")


class EmbeddingBar:
    """A bar of documents, with the methods that an index calls while it works."""

    def __init__(self, bars: Bars, forecast: Forecast) -> None:
        self._bars, self._forecast = bars, forecast
        self._documents = 0
        self._task = bars.add_task("", total=None, documents=0)

    def on_outcome(self, outcome: Outcome) -> None:
        """Show that a document is done."""
        self._documents += 1
        self._forecast.on_outcome(outcome, time.perf_counter())
        self._show()

    def on_step(self, step: str, done: int, total: int) -> None:
        """Show how far a step is; of the step "documents", the unit is bytes."""
        if step == "documents":
            self._forecast.total = total
        self._show()

    def on_tokens(self, read: int, total: int) -> None:
        """Show how many tokens of the documents in progress were read."""
        self._forecast.on_tokens(read, total, time.perf_counter())
        self._show()

    def _show(self) -> None:
        left, tokens = self._forecast.tokens_left, self._forecast.tokens
        total = None if left is None else tokens + left
        self._bars.update(self._task, completed=tokens, total=total, documents=self._documents)


@contextmanager
def embedding_bar(console: Console) -> Iterator[EmbeddingBar]:
    """Show how far the embedding of documents is.

    Yields:
        What the index is to call: `on_outcome`, `on_step`.
    """
    forecast = Forecast(time.perf_counter())
    columns = (
        TextColumn("{task.fields[documents]:,} documents,"),
        BarColumn(),
        TextColumn("{task.completed:,} tokens,"),
        _TimeLeft(forecast),
    )
    with Bars(*columns, console=console) as bars:
        bar = EmbeddingBar(bars, forecast)
        with report_progress_to(bar.on_tokens):
            yield bar


@contextmanager
def reranking_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Show how many documents a reranker has read.

    Yields:
        To be called with how many documents it has read and is to read.
    """
    columns = (
        TextColumn("read with the query: {task.completed:,}/{task.total:,} documents"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("", total=0)
        yield lambda read, total: bars.update(task, completed=read, total=total)
