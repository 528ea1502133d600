"""How alike two vectors are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def cosine(a: Any, b: Any) -> float:
    """The cosine of the angle between two vectors, computed in double precision.

    Args:
        a: Of shape (dimension,).
        b: Of the same shape.

    Returns:
        From -1 to 1; 0 if one of them is zero.
    """
    return float(cosines(a, [b])[0])


def cosines(vector: Any, others: Any) -> NDArray[np.float64]:
    """The same between a vector and each of several.

    Args:
        vector: Of shape (dimension,).
        others: Of shape (vectors, dimension).

    Returns:
        Shape (vectors,).
    """
    x, y = np.asarray(vector, dtype=np.float64), np.asarray(others, dtype=np.float64)
    lengths = np.linalg.norm(y, axis=1) * np.linalg.norm(x)
    return np.asarray(y @ x / np.where(lengths, lengths, 1.0))
