"""What an index of words must do, and how a store that ranks words itself takes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class WordScores:
    """BM25 of a document.

    Attributes:
        document: Of all of it.
        passage: Of its best passage.
    """

    document: float
    passage: float


class WordQuery(Protocol):
    """One query, put to the words of documents."""

    def candidates(self, most: int) -> list[str]:
        """Documents that have words of the query, the likeliest first; all if there are few."""

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """The scores of documents, by id; those that are not there have none."""

    def range_scores(
        self, record_id: str, ranges: Sequence[tuple[int, int]]
    ) -> NDArray[np.float64]:
        """The scores of ranges of a document's characters, as if they were passages."""

    def text_scores(self, text: str, ranges: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """The same of any text."""


class WordIndex(Protocol):
    """The words of a store's documents; `longembed_index.lexical.WordFile` is one.

    Every method raises `StoreError` if what lies beneath fails.
    """

    @property
    def language(self) -> str | None:
        """Of the stop words and the stemmer, see `words.LANGUAGES`; None without documents."""

    def __len__(self) -> int:
        """How many documents it has."""

    def ask(self, query: str) -> WordQuery:
        """Put a query, any text: nothing in it is an operator."""

    def with_phrase(self, phrase: str) -> set[str] | None:
        """The documents that may have a phrase; None if it cannot be told without their texts."""

    def windows(self, record_id: str, characters: int) -> list[tuple[int, int]]:
        """The passages of a document as ranges of its characters, for whoever has no spans."""


@runtime_checkable
class RanksWords(Protocol):
    """A store with an index of words of its own: no file is made beside it, nor caught up."""

    @property
    def word_index(self) -> WordIndex:
        """The words of its documents."""

    def speak(self, language: str) -> None:
        """Settle the language of a store without documents; else it is guessed from the first."""
