"""The time left, by what was measured: worked out by hand."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from rich.console import Console

from longembed_index.command.progress import Forecast, file_bar
from longembed_index.ingestion import ingest
from longembed_index.memory import MemoryStore
from longembed_index.sources import TextSource
from longembed_index.testing import MADE_BY
from longembed_st.base.coverage import Coverage, Encoded
from longembed_st.base.progress import report_progress
from longembed_st.command.display import Bars, document_bar


def test_one_long_book_moves_the_forecast_while_it_is_read() -> None:
    forecast = Forecast([(".txt", 4_000_000)], now=0)
    assert forecast.tokens_left == 1_000_000
    assert forecast.seconds_left(5) is None
    forecast.on_tokens(10_000, 900_000, now=10)
    assert forecast.read == 10_000
    assert forecast.seconds_left(10) == pytest.approx(990)
    # Between two batches the clock runs on.
    assert forecast.seconds_left(40) == pytest.approx(960)
    forecast.on_tokens(450_000, 900_000, now=450)
    assert forecast.seconds_left(450) == pytest.approx(550)
    forecast.on_document(".txt", 4_000_000, 900_000, now=900)
    assert forecast.read == 900_000
    assert forecast.tokens_left == 0
    assert forecast.seconds_left(900) == 0


def test_kinds_of_files_have_rates_of_their_own() -> None:
    forecast = Forecast([(".txt", 400), (".pdf", 1_000_000), (".pdf", 3_000_000)], now=0)
    forecast.on_document(".txt", 400, 100, now=1)
    # Nothing else is known of PDFs yet.
    assert forecast.tokens_left == 1_000_000
    forecast.on_document(".pdf", 1_000_000, 5_000, now=51)
    assert forecast.tokens_left == pytest.approx(15_000)
    assert forecast.seconds_left(51) == pytest.approx(15_000 * 51 / 5_100)


def test_what_needs_no_reading_takes_no_time_and_is_no_work() -> None:
    forecast = Forecast([(".txt", 400)] * 3, now=0)
    forecast.on_document(".txt", 400, 0, now=60)
    assert forecast.tokens_left == 200
    forecast.on_document(".txt", 400, 100, now=62)
    assert forecast.seconds_left(62) == pytest.approx(2)


def test_records_whose_size_nobody_knows() -> None:
    forecast = Forecast([("", 1)] * 4, now=0, usual=None)
    assert forecast.tokens_left is None
    forecast.on_tokens(50, 300, now=1)
    assert forecast.seconds_left(1) is None
    forecast.on_document("", 1, 300, now=3)
    assert forecast.tokens_left == 900
    assert forecast.seconds_left(3) == pytest.approx(9)


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch) -> None:
    monkeypatch.setattr(Bars, "every", 0.02)
    shown = io.StringIO()
    sources = [TextSource("a.txt", "word " * 80), TextSource("b.txt", "word " * 80)]
    with file_bar(Console(file=shown, width=80), sources) as on_outcome:
        report_progress(40, 100)
        time.sleep(0.2)
        del on_outcome
    lines = shown.getvalue().splitlines()
    assert len(lines) >= 2
    assert lines[0].startswith("0/2 documents, 40 tokens, 0:00:0")
    assert lines[0].endswith(" left")


def test_a_quick_run_without_a_terminal_says_nothing() -> None:
    shown = io.StringIO()
    with document_bar(Console(file=shown), 2, "spans") as on_document:
        on_document()
        on_document()
    assert shown.getvalue() == ""


def test_on_a_terminal_the_bar_is_drawn(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100)
    sources = [TextSource("a.txt", "word " * 80)]

    def embed(texts):
        report_progress(33, 80)
        return Encoded(np.ones((len(texts), 2), np.float32), [Coverage(80, 80, 1)])

    with file_bar(console, sources) as on_outcome:
        ingest(sources, MemoryStore(MADE_BY), embed, on_outcome=on_outcome)
    assert "1/1 documents" in shown.getvalue()
    assert "80 tokens" in shown.getvalue()
