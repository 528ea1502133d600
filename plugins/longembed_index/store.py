"""What a store must do, and how kinds of stores on disk are added by other packages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from longembed_index.records import Match, Record
    from longembed_index.spans import SpanKeeper
    from longembed_st.base.provenance import Provenance


REMOTE = "longembed.remote"
"""A file that has the address of the store for which its folder stands."""


class Store(Protocol):
    """Records, each a document with its vector, and how the vectors were made.

    Every method raises `StoreError` if what lies beneath fails. `longembed_index.testing` has the
    tests that a store should pass, `longembed_index.memory` the shortest one that does.

    Spans are not its business: `longembed_index.spans.SpannedStore` wraps any store and keeps them
    in a file beside it, by the ids of the records and the provenance's fingerprint, unless its
    kind is one that `KeepsSpans`. Nor are words, unless it ranks them itself: see
    `longembed_index.word_index.RanksWords`.
    """

    @property
    def provenance(self) -> Provenance:
        """How the vectors were made. Can be set: the same model may have got another name."""

    @provenance.setter
    def provenance(self, provenance: Provenance) -> None: ...

    @property
    def max_batch(self) -> int:
        """The most records that it writes or deletes at once."""

    def __len__(self) -> int:
        """How many records there are."""

    def names(self) -> Iterable[tuple[str, str]]:
        """The id and the document's name of every record; see `records.document_name`."""

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The records that exist among these, in any order."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """The vectors of those that exist and have one, by id: `get` without what takes time."""

    def having(self, key: str, value: str) -> list[str]:
        """The ids of the records whose metadata has this value, in any order."""

    def write(self, records: Sequence[Record]) -> None:
        """Write records, all or none; one whose id exists is replaced, metadata included."""

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; one that does not exist, or none at all, is no error."""

    def search(self, vector: Any, k: int) -> list[Match]:
        """The k records, or fewer, most similar to a vector, the best first.

        The score is the cosine similarity, unless the store was told otherwise when it was made.
        """

    # Vectors that were lost to a kill, a disk or another program.

    def lost(self) -> list[str]:
        """The ids of the records that no search can find, because their vectors are lost.

        Found out when the store is opened. Texts and metadata of these records can still be read;
        `get` gives them with None for a vector, or with a copy of it. Written again, a record is
        lost no longer.
        """

    # Replacing all vectors while the old ones answer.

    def staged(self) -> Store | None:
        """What `stage` has begun and no `switch` has ended, perhaps in a process that died."""

    def stage(self, provenance: Provenance) -> Store:
        """Begin an empty store that is going to replace this one; throws away one begun before."""

    def switch(self) -> str:
        """Put what is staged in the place of this store, and keep the old records beside it.

        Cut off at any moment, the old records or the new ones are there under the name, whole.

        Returns:
            The name under which the old records are kept.
        """

    def drop_kept(self) -> list[str]:
        """Delete everything that `switch` has kept, and return the names."""


@runtime_checkable
class StoreKind(Protocol):
    """A way to keep stores in folders.

    A package brings one as a class, called without arguments, under an entry point of the group
    `longembed_st.stores`. Importing the class must be light and need no optional library: it is
    also asked about the stores of others. There is one writer at a time, and no need to see to it.
    """

    def recognises(self, directory: Path) -> bool:
        """Whether a store of this kind is in a folder."""

    def read_provenance(self, directory: Path, collection: str) -> Provenance | None:
        """How a collection's vectors were made, without loading a model.

        Returns:
            None if there is no such collection, or no such folder.

        Raises:
            StoreError: If the store cannot be read.
            ConfigError: If the collection was not made by longembed.
            MissingExtraError: If the library of this kind is not installed.
        """

    def open(
        self, directory: Path, collection: str, create: Provenance | None
    ) -> AbstractContextManager[Store]:
        """Open a collection for the length of a `with` block.

        Args:
            directory: The folder; exists.
            collection: The name of the collection in it.
            create: How the vectors of a collection will be made that is not there yet; None if
                the store is only going to be read, perhaps from a medium that cannot be written.

        Raises:
            StoreError: If there is nothing to open, or it cannot be opened.
            LostVectorsError: If it is to be read, and what is lost can only be told by writing.
        """


@runtime_checkable
class KeepsSpans(Protocol):
    """A kind of store that keeps spans itself: no file is made beside it."""

    def spans(self, directory: Path, collection: str) -> SpanKeeper:
        """The spans of a collection, which need not be there yet."""


@runtime_checkable
class KeepsElsewhere(Protocol):
    """A kind of store that may be in an object store, with a folder here that stands for it.

    The folder holds what belongs to this machine, such as the lock, and the address in a file
    `REMOTE`.
    """

    def uri(self, directory: Path) -> str:
        """Where the store is: the address that a folder stands for, or the folder itself."""
