"""All that the bench needs of `longembed_index`, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from longembed_index.documents import jsonl_rows, read_documents
from longembed_index.hybrid import word_shares
from longembed_index.lexical import WordFile
from longembed_index.modes import CANDIDATES, WEIGHT, Mode, Ranking

__all__ = [
    "CANDIDATES",
    "WEIGHT",
    "LexicalScorer",
    "Mode",
    "Ranking",
    "jsonl_rows",
    "read_documents",
]


class LexicalScorer:
    """Score documents by their words, as `longembed search` does.

    Args:
        documents: The texts.
    """

    def __init__(self, documents: Sequence[str]) -> None:
        self._ids = [f"{number:09}" for number in range(len(documents))]
        self._folder = TemporaryDirectory(prefix="longembed-")
        self._index = WordFile(Path(self._folder.name), "documents")
        self._index.add(dict(zip(self._ids, documents, strict=True)))

    def score(self, query: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of all documents for a query.

        Args:
            query: The query.

        Returns:
            By whole document and best passage, and by whole document alone: each of shape
            (documents,), from 0 to 1.
        """
        scores = word_shares(self._index.ask(query), self._ids)
        return (
            np.array([scores[key].total for key in self._ids]),
            np.array([scores[key].document for key in self._ids]),
        )
