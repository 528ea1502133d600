"""What commands print: figures as people write them, and no bars of other libraries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
