"""What scores documents by reading them together with the query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WindowScores:
    """The scores of a document and of its windows.

    Attributes:
        score: Of the document.
        scores: Of each window, shape (windows,).
        spans: The half-open range of characters of each window; empty if the tokenizer keeps no
            offsets.
    """

    score: float
    scores: NDArray[np.float32]
    spans: list[tuple[int, int]]

    @property
    def best_span(self) -> tuple[int, int] | None:
        """Where the window of the highest score stands; None without offsets."""
        return self.spans[int(self.scores.argmax())] if self.spans else None


class Reranker(Protocol):
    """A LongCrossEncoder, a LongMultiVectorEncoder, or anything else that scores windows."""

    def score_windows(self, query: str, documents: Sequence[str]) -> list[WindowScores]:
        """Score documents and their windows.

        Args:
            query: The query.
            documents: The documents.

        Returns:
            One a document, in order.
        """
