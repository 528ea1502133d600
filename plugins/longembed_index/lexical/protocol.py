"""What an index of words must do; `longembed_index.lexical.index` has the usual one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from longembed_index.lexical.scores import Integers, QueryWeights, TermPlaces, WordScores


class LexicalQuery(Protocol):
    """One query, put to the words of documents."""

    @property
    def weights(self) -> QueryWeights:
        """Return what the query's terms weigh; `TermPlaces.terms` are indices into them."""

    @property
    def highest(self) -> WordScores:
        """Return what `scores` come near to for a document that has every term many times."""

    def candidates(self, most: int, among: Collection[str] | None = None) -> list[str]:
        """Return ids of documents with words of the query, the likeliest first.

        Args:
            most: How many.
            among: Only these documents; all without it.
        """

    def scores(self, ids: Sequence[str]) -> dict[str, WordScores]:
        """Return the scores of documents by id; those without words are left out."""

    def places(self, ids: Sequence[str]) -> dict[str, TermPlaces]:
        """Return where the query's terms stand in documents, by id; of those that exist."""

    def count_in(self, texts: Sequence[str]) -> Integers:
        """Return how often each of the query's terms is in other texts, shape (texts, terms)."""


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
