"""How alike two vectors are."""

from __future__ import annotations

from typing import Any

import numpy as np


def cosine(a: Any, b: Any) -> float:
    """The cosine of the angle between two vectors, computed in double precision.

    Args:
        a: Of shape (dimension,).
        b: Of the same shape.

    Returns:
        From -1 to 1; 0 if one of them is zero.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y) or 1.0))
