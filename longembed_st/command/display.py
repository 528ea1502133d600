"""What commands print: figures as people write them, and no bars of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def percent(share: float) -> str:
    """A share in percent; almost all is never rounded to all.

    Args:
        share: From 0 to 1.
    """
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"


@contextmanager
def without_loading_bars() -> Iterator[None]:
    """Switch the loading bars of transformers off inside the block."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def document_bar(console: Console, count: int, doing: str = "") -> Iterator[Callable[[], None]]:
    """A bar that counts documents.

    Args:
        console: Where to draw.
        count: How many there are.
        doing: What is done with them.

    Yields:
        To be called after each.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    label = f"{doing}: documents" if doing else "documents"
    columns = (TextColumn(label), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("left"), console=console) as progress:
        task = progress.add_task("", total=count)
        yield lambda: progress.advance(task)
