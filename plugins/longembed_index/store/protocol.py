"""What a store and its index of words must do, and how a package adds a kind of store.

`longembed_index.store.memory` is the shortest store that does all of it, and
`longembed_index.store.conformance` has the tests that every store must pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from longembed_index.search.ranking import Ranking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from longembed_index.document import Entry, Record, Units
    from longembed_index.lexical.scores import Integers, QueryWeights, TermPlaces, WordScores
    from longembed_st.base.provenance import Provenance

Where = Mapping[str, Any]
"""A filter of documents; see `longembed_index.store.filters`."""


@dataclass(frozen=True)
class StoreInfo:
    """The description of a store, which is written with its first commit.

    Attributes:
        provenance: The model and the settings that make its vectors.
        units: Whether each document has its sentence units, too.
        language: The language of the stemmer and the stop words; None until the first documents
            are there, by which it is guessed.
        ranking: How it is searched unless a search says otherwise.
    """

    provenance: Provenance
    units: bool = False
    language: str | None = None
    ranking: Ranking = field(default_factory=Ranking)


class Store(Protocol):
    """Documents with their vectors, in one collection.

    A store may be used by several threads and, after a fork, in the child. Methods raise
    `StoreError` when the store cannot be read or written; they never return less than there is.
    Ids are any strings; methods that take ids pass over those that do not exist.
    """

    @property
    def info(self) -> StoreInfo:
        """Return the description of the store, as it is stored now."""

    @property
    def generation(self) -> int:
        """Return a number that grows with every commit, by whatever process; cheap to ask."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def update_info(self, info: StoreInfo) -> None:
        """Replace the description of the store, in one commit."""

    def write(self, records: Sequence[Record], delete: Iterable[str] = ()) -> None:
        """Add or replace records, and delete others, all in one commit."""

    def get(self, ids: Sequence[str], *, units: bool = False) -> list[Record]:
        """Return the records with these ids, in their order.

        Args:
            ids: The documents.
            units: Only those that have sentence units, and with these, of the same commit.
        """

    def entries(self, where: Where | None = None) -> Iterator[Entry]:
        """Yield what is known of every document that meets a filter, sorted by id, no texts."""

    def vectors(self, ids: Sequence[str] | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Return ids and unit vectors, shape (documents, dimensions); of all without `ids`."""

    def units(self, ids: Sequence[str] | None = None) -> Iterator[tuple[str, Units]]:
        """Yield the sentence units of documents that have any; of all without `ids`.

        Their vectors are rounded: see `longembed_index.store.vectors`.
        """

    def nearest(
        self, vector: NDArray[np.float32], k: int, where: Where | None = None
    ) -> list[tuple[str, float]]:
        """Return ids and cosine similarities of the k nearest documents, best first.

        Documents that do not meet the filter are left out before the k are taken.
        """

    def lexical(self) -> LexicalIndex | None:
        """Return the store's own index of words; None if one is to be kept beside the store."""

    # Replacing all vectors while the old ones answer.

    def stage(self, info: StoreInfo) -> Store:
        """Begin an empty store that is going to replace this one; discard an earlier one."""

    def staged(self) -> Store | None:
        """Return what `stage` began and `switch` has not ended, perhaps in another process."""

    def switch(self) -> str:
        """Put the staged store in the place of this one in one commit; return the old one's name.

        This object shows the new documents from then on.
        """

    def drop_replaced(self) -> list[str]:
        """Delete the stores that `switch` has replaced, and return their names."""

    def close(self) -> None:
        """Release files and connections."""


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


@runtime_checkable
class StoreKind(Protocol):
    """A way to keep stores.

    A package brings one as a class, called without arguments, under an entry point of the group
    `longembed_st.stores`. Importing the class must be light and need no optional library: it is
    also asked about folders of other kinds. Callers let in one writer at a time.
    """

    def recognises(self, directory: Path) -> bool:
        """Return whether a folder holds a store of this kind."""

    def read_info(self, directory: Path, collection: str) -> StoreInfo | None:
        """Return what a collection holds, without loading a model; None if it does not exist.

        Raises:
            StoreError: If the store cannot be read.
            ConfigError: If what is stored there must not be acted on.
            MissingExtraError: If the library of this kind is not installed.
        """

    def open(
        self, directory: Path, collection: str, *, create: StoreInfo | None, write: bool
    ) -> Store:
        """Open a collection.

        Args:
            directory: The folder; exists.
            collection: The name of the collection in it.
            create: The description of the collection if it does not exist yet; None to open only
                an existing one.
            write: Whether the store is going to be written; otherwise it may be on a medium that
                cannot be written.

        Raises:
            StoreError: If there is nothing to open, or it cannot be opened.
        """

    def address(self, directory: Path) -> str:
        """Return where the data is: the folder, or the URL for which the folder stands."""

    def size(self, directory: Path) -> int | None:
        """Return the bytes that the store takes; None if that cannot be told."""
