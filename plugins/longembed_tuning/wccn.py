"""Within-class covariance normalisation, with the document as the class.

The passages of one document differ in directions that say little about which document it is, and
those differences drown the ones that do. The map shrinks each direction by how much passages of one
document vary along it, learned from the passages alone: no labels, no gradients.

    R = x - mean of its document's windows        for every window x of unit length
    S_w = mean over documents of R'R / windows    the within-document covariance
    A = (S_w + ridge * mean eigenvalue of S_w * I)^-1 = L L'
    y = L'x                                       then scaled to unit length

Hatch, Kajarekar and Stolcke, Within-class covariance normalization for SVM-based speaker
recognition, Interspeech 2006, equations 3 to 6. As there, no mean is subtracted: that of the
documents is not that of the queries (docs/WHITENING.md has what it costs). Of the rotations that
leave all cosines as they are, the one is taken that puts first the directions in which documents
differ most beside their passages (linear discriminant analysis, Fisher 1936), so that fewer
dimensions can be kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longembed_st.errors import ConfigError, InputError
from longembed_st.loading.whitening import Vectors, WhiteningMap, to_unit_length

RIDGE = 0.2
"""Times the mean eigenvalue. Chosen on four collections (docs/WHITENING_MEASURED.md)."""

LEAST_DOCUMENTS = 20
"""With two windows or more. With 20, gte-small gets 52.3 of 57.6 on QMSum; below, less."""


class Scatter:
    """The covariances of documents that are added one at a time; memory does not grow with them."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.documents = 0
        self.divided = 0
        self.differences = 0
        self._within = np.zeros((width, width))
        self._centre = np.zeros(width)
        self._between = np.zeros((width, width))

    def add(self, windows: NDArray[np.floating], document: NDArray[np.floating]) -> None:
        """Add a document; each counts the same, however long it is.

        Args:
            windows: Vectors of its windows, shape (windows, width); scaled to unit length here.
            document: Its own vector, shape (width,); scaled to unit length here.

        Raises:
            InputError: If a vector is zero or not finite.
        """
        x, own = to_unit_length(windows), to_unit_length(document)
        self.documents += 1
        if len(x) > 1:
            residuals = x - x.mean(axis=0)
            self.divided += 1
            self.differences += len(x) - 1
            self._within += residuals.T @ residuals / len(x)
        # Welford's update: no difference of large sums.
        before = own - self._centre
        self._centre += before / self.documents
        self._between += np.outer(before, own - self._centre)

    def merged(self, other: Scatter) -> Scatter:
        """Return the scatter of both sets of documents (Chan, Golub and LeVeque 1979)."""
        both = Scatter(self.width)
        both.documents = self.documents + other.documents
        both.divided = self.divided + other.divided
        both.differences = self.differences + other.differences
        both._within = self._within + other._within
        share = other.documents / max(both.documents, 1)
        apart = other._centre - self._centre
        both._centre = self._centre + share * apart
        both._between = self._between + other._between
        both._between += self.documents * share * np.outer(apart, apart)
        return both

    @property
    def within(self) -> Vectors:
        """S_w, shape (width, width)."""
        return self._within / max(self.divided, 1)

    @property
    def between(self) -> Vectors:
        """The covariance of the document vectors, shape (width, width)."""
        return self._between / max(self.documents, 1)


def fit_map(
    scatter: Scatter,
    *,
    ridge: float = RIDGE,
    dimensions: int | None = None,
    least: int = LEAST_DOCUMENTS,
) -> WhiteningMap:
    """Return the whitening map of some documents.

    Args:
        scatter: The scatter of the documents.
        ridge: Added to every eigenvalue of S_w, as a multiple of their mean.
        dimensions: How many dimensions to keep; None for all.
        least: The fewest documents of two windows or more.

    Raises:
        ConfigError: If ridge or dimensions are out of range.
        InputError: If the documents are too few, or do not differ.
    """
    width = scatter.width
    if not 0 < ridge < float("inf"):
        raise ConfigError(f"ridge must be a positive number, not {ridge}")
    if dimensions is not None and not 1 <= dimensions <= width:
        raise ConfigError(f"dimensions must be from 1 to {width}, not {dimensions}")
    if scatter.divided < least:
        raise InputError(
            f"whitening compares the windows of a document with each other, and only "
            f"{scatter.divided} of {scatter.documents} documents have two windows or more; at "
            f"least {least} are needed. Give more or longer documents"
        )
    within, between = scatter.within, scatter.between
    mean_eigenvalue = np.trace(within) / width
    # Rounding leaves about so much of zero.
    nothing = 1e-12
    if mean_eigenvalue < nothing:
        raise InputError("all windows of each document are alike: there is nothing to shrink")
    if np.trace(between) / width < nothing:
        raise InputError("all documents are alike: nothing tells them apart")
    eigenvalues, axes = np.linalg.eigh(within + ridge * mean_eigenvalue * np.eye(width))
    whitener = axes / np.sqrt(eigenvalues)
    ratios, rotation = np.linalg.eigh(whitener.T @ between @ whitener)
    best_first = np.argsort(-ratios)[: dimensions or width]
    matrix = (whitener @ rotation[:, best_first]).T
    return WhiteningMap(matrix)
