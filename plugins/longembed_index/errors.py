"""What can go wrong between documents and the store that keeps them."""

from __future__ import annotations

from longembed_st.errors import LongEmbedError


class StoreError(LongEmbedError):
    """A store cannot be opened, read or written."""


class LostVectorsError(StoreError):
    """Vectors of a store are lost; its texts are there.

    Args:
        what: What is lost.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}. Write them anew: longembed repair --store DIR")
