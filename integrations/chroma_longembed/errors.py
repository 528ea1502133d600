"""What can go wrong between our vectors and a Chroma store."""

from __future__ import annotations

from contextlib import AbstractContextManager

from longembed_st import extras
from longembed_st.errors import LongEmbedError
from longembed_st.extras import MissingExtraError

__all__ = ["INSTALL", "MissingExtraError", "StoreError", "needs_extra"]

INSTALL = 'pip install "longembed-st[chroma]"'


class StoreError(LongEmbedError):
    """A store cannot be opened, read or written."""


def needs_extra() -> AbstractContextManager[None]:
    """Turn a failed import of the extra's libraries into the command that installs them.

    Raises:
        MissingExtraError: If chromadb or markitdown is not installed.
    """
    return extras.needs_extra("chroma", "chromadb", "markitdown")
