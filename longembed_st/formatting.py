"""How figures are written for people."""

from __future__ import annotations


def percent(share: float) -> str:
    """A share in percent; almost all is never rounded to all.

    Args:
        share: From 0 to 1.
    """
    return "100%" if share == 1 else f"{min(share, 0.999):.1%}"
