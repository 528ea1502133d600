"""Within-class covariance normalisation as the formula says it, in loops; slow and plain."""

from __future__ import annotations

import numpy as np


def whiten(documents: list[np.ndarray], vectors: np.ndarray, ridge: float) -> np.ndarray:
    """Map vectors by the documents' windows.

    Args:
        documents: The windows of each document, shape (windows, width), of unit length.
        vectors: To be mapped, shape (n, width).
        ridge: As in the formula.
    """
    width = vectors.shape[1]
    s_w = np.zeros((width, width))
    for windows in documents:
        mean = sum(windows) / len(windows)
        covariance = np.zeros((width, width))
        for x in windows:
            for i in range(width):
                for j in range(width):
                    covariance[i, j] += (x[i] - mean[i]) * (x[j] - mean[j]) / len(windows)
        s_w += covariance / len(documents)
    mean_eigenvalue = sum(s_w[i, i] for i in range(width)) / width
    a = np.linalg.inv(s_w + ridge * mean_eigenvalue * np.eye(width))
    lower = np.linalg.cholesky(a)
    out = []
    for x in vectors:
        y = lower.T @ x
        out.append(y / np.sqrt(sum(y * y)))
    return np.array(out)
