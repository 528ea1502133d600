"""The time left, by what was measured: worked out by hand."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from longembed_index.command.progress import Forecast, embedding_bar
from longembed_index.maintain.report import Outcome
from longembed_st.base.progress import report_progress
from longembed_st.command.display import Bars, document_bar


def forecast_of(total: int | None) -> Forecast:
    forecast = Forecast(now=0)
    forecast.total = total
    return forecast


def test_one_long_book_moves_the_forecast_while_it_is_read() -> None:
    forecast = forecast_of(4_000_000)
    assert forecast.tokens_left == 1_000_000
    assert forecast.seconds_left(5) is None
    forecast.on_tokens(10_000, 900_000, now=10)
    assert forecast.tokens == 10_000
    assert forecast.seconds_left(10) == pytest.approx(990)
    # Between two batches the clock runs on.
    assert forecast.seconds_left(40) == pytest.approx(960)
    forecast.on_tokens(450_000, 900_000, now=450)
    assert forecast.seconds_left(450) == pytest.approx(550)
    forecast.on_outcome(Outcome("book", "added", 4_000_000, 900_000), now=900)
    assert forecast.tokens == 900_000
    assert forecast.tokens_left == 0
    assert forecast.seconds_left(900) == 0


def test_what_was_read_tells_the_rate_of_the_rest() -> None:
    forecast = forecast_of(3_000)
    forecast.on_outcome(Outcome("a", "added", 1_000, 500), now=10)
    assert forecast.tokens_left == pytest.approx(1_000)
    assert forecast.seconds_left(10) == pytest.approx(20)


def test_what_needs_no_embedding_takes_no_time_and_is_no_work() -> None:
    forecast = forecast_of(1_200)
    forecast.on_outcome(Outcome("a", "unchanged", 400), now=60)
    assert forecast.tokens_left == 200
    forecast.on_outcome(Outcome("b", "added", 400, 100), now=62)
    assert forecast.seconds_left(62) == pytest.approx(2)


def test_without_a_total_only_the_documents_in_progress_are_left() -> None:
    forecast = forecast_of(None)
    assert forecast.tokens_left is None
    forecast.on_tokens(50, 300, now=1)
    assert forecast.tokens_left == 250


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch) -> None:
    monkeypatch.setattr(Bars, "every", 0.01)
    output = io.StringIO()
    with embedding_bar(Console(file=output, width=80)) as bar:
        bar.on_step("documents", 0, 800)
        report_progress(40, 100)
        while "documents" not in output.getvalue():
            time.sleep(0.01)
    line = output.getvalue().splitlines()[0]
    assert line.startswith("0 documents, 40 tokens, 0:00:0")
    assert line.endswith(" left")


def test_a_quick_run_without_a_terminal_says_nothing() -> None:
    output = io.StringIO()
    with document_bar(Console(file=output), 2, "units") as on_document:
        on_document()
        on_document()
    assert output.getvalue() == ""


def test_on_a_terminal_the_bar_is_drawn(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    output = io.StringIO()
    with embedding_bar(Console(file=output, force_terminal=True, width=100)) as bar:
        bar.on_step("documents", 0, 320)
        report_progress(33, 80)
        bar.on_outcome(Outcome("a.txt", "added", 320, 80))
        bar.on_step("documents", 320, 320)
    assert "1 documents" in output.getvalue()
    assert "80 tokens" in output.getvalue()
