"""What an index of words must do; `longembed_index.lexical.index` has the usual one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WordScores(NamedTuple):
    """The BM25 scores of a document: of all of it, and of its best passage."""

    document: float
    passage: float


class LexicalQuery(Protocol):
    """One query, put to the words of documents."""

    def candidates(self, most: int, among: Sequence[str] | None = None) -> list[str]:
        """Return ids of documents with words of the query, the likeliest first.

        Args:
            most: How many.
            among: Only these documents; all without it.
        """

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """Return the scores of documents by id; those without words are left out."""

    def range_scores(
        self, document_id: str, ranges: Sequence[tuple[int, int]]
    ) -> NDArray[np.float64]:
        """Return the BM25 scores of ranges of a document's characters, shape (ranges,)."""

    def text_scores(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """Return the BM25 scores of ranges of any text's characters, shape (ranges,)."""


class LexicalIndex(Protocol):
    """The words of a store's documents. Methods raise `StoreError` if they fail."""

    @property
    def language(self) -> str | None:
        """Return the language of the stemmer and the stop words; None without documents."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def query(self, text: str) -> LexicalQuery:
        """Put a query; any text, nothing in it is an operator."""

    def find_phrase(self, phrase: str) -> set[str] | None:
        """Return documents that may hold a phrase; None if only their texts can tell."""

    def windows(self, document_id: str, characters: int) -> list[tuple[int, int]]:
        """Return the passages of a document without units, as ranges of its characters."""
