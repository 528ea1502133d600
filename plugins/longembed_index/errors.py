"""What can go wrong between documents and the store that keeps them."""

from __future__ import annotations

from longembed_st.errors import LongEmbedError

NO_DOCUMENTS = "there is no document to index under these paths"


class StoreError(LongEmbedError):
    """A store cannot be opened, read or written."""


class StoreReplacedError(StoreError):
    """Another store has taken the place of one that is open."""


class StoreWarning(UserWarning):
    """Something beside a store was damaged or cannot be written, and is made again."""


class PhraseNotFoundWarning(UserWarning):
    """A query has a phrase in quotes that no document has, so nothing is found."""
