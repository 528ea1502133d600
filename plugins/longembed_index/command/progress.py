"""The bar of an ingestion: documents, tokens, and the time left by the speed measured so far."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from longembed_st.base.progress import report_progress_to
from longembed_st.command.display import Bars

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Task

    from longembed_index.reports import Outcome
    from longembed_index.sources import Source

TOKENS_PER_BYTE = 0.25
"""Of plain English text: what is assumed until something was measured."""


class Forecast:
    """How much is left to read, in tokens and in seconds, by what was measured so far.

    How many tokens a file has is known when it is read; before, others of its kind tell. Time that
    documents take that need no reading does not count.

    Args:
        files: Kind and size of each document, the size in any unit.
        now: The time, in seconds.
        usual: Tokens per unit of size where nothing was measured; None if nobody can tell.
    """

    def __init__(
        self, files: Sequence[tuple[str, int]], now: float, usual: float | None = TOKENS_PER_BYTE
    ) -> None:
        self.done = 0
        self._usual = usual
        self._left: Counter[str] = Counter()
        for kind, size in files:
            self._left[kind] += size
        self._sizes: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._reading, self._all_reading = 0, 0
        self._seconds, self._last = 0.0, now

    def on_tokens(self, read: int, of: int, now: float) -> None:
        """Some tokens of the documents that are being read were read.

        Args:
            read: How many so far.
            of: How many they are.
            now: The time, in seconds.
        """
        self._reading, self._all_reading = read, of
        self._worked(now)

    def on_document(self, kind: str, size: int, tokens: int, now: float) -> None:
        """The fate of a document is settled.

        Args:
            kind: Of the document.
            size: Of the document.
            tokens: Of the document; 0 if it was not read.
            now: The time, in seconds.
        """
        self._left[kind] -= size
        if not tokens:
            self._last = now
            return
        self.done += tokens
        self._sizes[kind] += size
        self._tokens[kind] += tokens
        self._reading = max(self._reading - tokens, 0)
        self._all_reading = max(self._all_reading - tokens, 0)
        self._worked(now)

    @property
    def read(self) -> int:
        """Tokens read so far, those of unfinished documents among them."""
        return self.done + self._reading

    @property
    def tokens_left(self) -> float | None:
        """Tokens that are still to be read; None if nothing tells."""
        left = 0.0
        for kind, size in self._left.items():
            rate = self._rate(kind)
            if size > 0 and rate is None:
                return None
            left += size * (rate or 0)
        # What is being read is known, whatever its file's size says.
        return max(left - self._reading, self._all_reading - self._reading)

    def seconds_left(self, now: float) -> float | None:
        """The time that reading them will take; None if nothing was measured yet.

        Args:
            now: The time, in seconds.
        """
        left = self.tokens_left
        if left is None or not self.read or not self._seconds:
            return None
        return max(left * self._seconds / self.read - (now - self._last), 0.0)

    def _rate(self, kind: str) -> float | None:
        """Tokens per unit of size: of this kind, else of all, else as usual."""
        for sizes, tokens in (
            (self._sizes[kind], self._tokens[kind]),
            (self._sizes.total(), self._tokens.total()),
        ):
            if sizes:
                return tokens / sizes
        return self._usual

    def _worked(self, now: float) -> None:
        self._seconds += now - self._last
        self._last = now


class _TimeLeft(ProgressColumn):
    def __init__(self, forecast: Forecast) -> None:
        super().__init__()
        self._forecast = forecast

    def render(self, task: Task) -> Text:
        seconds = self._forecast.seconds_left(time.perf_counter())
        shown = "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))
        return Text(f"{shown} left", style="progress.remaining")


@contextmanager
def file_bar(console: Console, files: Sequence[Source]) -> Iterator[Callable[[Outcome], None]]:
    """Show how far the ingestion of files is.

    Args:
        console: Where to draw.
        files: All of them.

    Yields:
        To be called with each outcome.
    """
    kinds = [(_kind(file.name), file.size) for file in files]
    with _bar(console, len(files), Forecast(kinds, time.perf_counter())) as on_outcome:
        yield lambda outcome: on_outcome(outcome, _kind(outcome.name), outcome.size)


@contextmanager
def record_bar(console: Console, count: int) -> Iterator[Callable[[Outcome], None]]:
    """Show how far work on the records of a store is, whose sizes nobody knows.

    Args:
        console: Where to draw.
        count: How many they are.

    Yields:
        To be called with each outcome.
    """
    forecast = Forecast([("", 1)] * count, time.perf_counter(), usual=None)
    with _bar(console, count, forecast) as on_outcome:
        yield lambda outcome: on_outcome(outcome, "", 1)


@contextmanager
def reranking_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar while a reranker reads documents.

    Args:
        console: Where to draw.

    Yields:
        To be called with how many it has read and is to.
    """
    columns = (
        TextColumn("read with the query: {task.completed:,}/{task.total:,} documents"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("", total=0)
        yield lambda read, of: bars.update(task, completed=read, total=of)


@contextmanager
def _bar(
    console: Console, count: int, forecast: Forecast
) -> Iterator[Callable[[Outcome, str, int], None]]:
    columns = (
        TextColumn("{task.fields[documents]:,}/{task.fields[of]:,} documents,"),
        BarColumn(),
        TextColumn("{task.completed:,} tokens,"),
        _TimeLeft(forecast),
    )
    documents = 0
    with Bars(*columns, console=console) as bars:
        task = bars.add_task("", total=None, documents=0, of=count)

        def show() -> None:
            left = forecast.tokens_left
            total = None if left is None else forecast.read + left
            bars.update(task, completed=forecast.read, total=total, documents=documents)

        def on_tokens(read: int, of: int) -> None:
            forecast.on_tokens(read, of, time.perf_counter())
            show()

        def on_outcome(outcome: Outcome, kind: str, size: int) -> None:
            nonlocal documents
            documents += 1
            forecast.on_document(kind, size, outcome.tokens, time.perf_counter())
            show()

        with report_progress_to(on_tokens):
            yield on_outcome


def _kind(name: str) -> str:
    return PurePath(name).suffix.lower()
