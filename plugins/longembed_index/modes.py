"""How a search ranks documents: by vectors, by words, or by both."""

from __future__ import annotations

from typing import Literal, get_args

from longembed_st.errors import ConfigError

Mode = Literal["hybrid", "dense", "lexical"]
"""By words and vectors, by vectors alone, by words alone."""
MODES = get_args(Mode)

WEIGHT = 0.4
"""Of the vectors in a hybrid search; chosen on QMSum and SummScreen (docs/HYBRID.md)."""


def refuse_wrong(mode: str, weight: float) -> None:
    """Raise `ConfigError` for a mode that there is not, or a weight out of range.

    Args:
        mode: One of `MODES`.
        weight: From 0 to 1.
    """
    if mode not in MODES:
        raise ConfigError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if not 0 <= weight <= 1:
        raise ConfigError(f"weight must be between 0, words alone, and 1, vectors, not {weight}")
