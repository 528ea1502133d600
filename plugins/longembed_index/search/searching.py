"""From a query's vector to the documents that are most similar to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longembed_index.embedding import ROWS, batches
from longembed_index.records import READ, TITLE, TOKENS, Match, document_name, is_ours, meets
from longembed_index.repairing import refuse_lost
from longembed_index.similarity import cosine

if TYPE_CHECKING:
    from longembed_index.store import Store


@dataclass(frozen=True)
class Hit:
    """A document found by a search.

    Attributes:
        score: Similarity to the query, as the store's `search` gives it.
        source: The document's name in the store; of a record of another program, its id.
        title: What a person calls it.
        tokens: Its length; None if another program stored it.
        read: How many of its tokens the vector was computed from; None likewise.
    """

    score: float
    source: str
    title: str
    tokens: int | None
    read: int | None

    @property
    def share_read(self) -> float | None:
        """The share of the document that was read, from 0 to 1; None if it is not known."""
        if self.tokens is None or self.read is None:
            return None
        return self.read / self.tokens if self.tokens else 1.0


def search(store: Store, vector: Any, k: int, where: Mapping[str, str] | None = None) -> list[Hit]:
    """The documents most similar to a query.

    Args:
        store: The documents.
        vector: Of the query, made as the store's vectors were.
        k: The most hits.
        where: What their metadata must be; see `records.meets`.

    Returns:
        The best first.

    Raises:
        StoreError: If the store cannot be read, or fewer are found because vectors are lost.
    """
    return [hit_of(one.id, one.score, one.metadata) for one in matches(store, vector, k, where)]


def matches(
    store: Store, vector: Any, k: int, where: Mapping[str, str] | None = None
) -> list[Match]:
    """The records most similar to a query; arguments and errors as for `search`.

    Args:
        store: The documents.
        vector: Of the query.
        k: The most of them.
        where: What their metadata must be.

    Returns:
        The best first.
    """
    # A number beyond what there is may also be beyond what the store can count.
    asked = k = min(k, len(store))
    while True:
        found = _nearest(store, vector, asked)
        kept = [match for match in found if meets(match.metadata, where or {})]
        if len(kept) >= k or asked == len(store):
            return kept[:k]
        # Stores filter each in its own way, or not at all: ask for more until there are enough.
        asked = min(4 * asked, len(store))


def _nearest(store: Store, vector: Any, k: int) -> list[Match]:
    if not k:
        return []
    found = store.search(vector, k)
    # An approximate search does not always lead to everything.
    return found if len(found) == k else _search_all(store, vector, k)


def _search_all(store: Store, vector: Any, k: int) -> list[Match]:
    """Compare every record, with cosines as scores; `StoreError` if one has lost its vector."""
    refuse_lost(store)
    matches: list[Match] = []
    ids = [record_id for record_id, _ in store.names()]
    for part in batches(ids, ROWS):
        matches += [Match(r.id, cosine(vector, r.vector), r.metadata) for r in store.get(part)]
        matches = sorted(matches, key=lambda match: -match.score)[:k]
    return matches


def hit_of(record_id: str, score: float, data: Mapping[str, Any]) -> Hit:
    """A record that was found, as people see it.

    Args:
        record_id: Its id.
        score: Its score.
        data: Its metadata.
    """
    name = document_name(record_id, data)
    if not is_ours(data):
        return Hit(score, name, name, None, None)
    return Hit(score, name, str(data.get(TITLE, name)), data[TOKENS], data[READ])
