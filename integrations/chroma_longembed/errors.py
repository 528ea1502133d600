"""What can go wrong between our vectors and a Chroma store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from longembed_st.errors import LongEmbedError

INSTALL = 'pip install "longembed-st[chroma]"'


class StoreError(LongEmbedError):
    """A store cannot be opened, read or written."""


class MissingExtraError(LongEmbedError, ImportError):
    """A library of the `chroma` extra is not installed."""


@contextmanager
def needs_extra() -> Iterator[None]:
    """Turn a failed import of the extra's libraries into the command that installs them.

    Raises:
        MissingExtraError: If chromadb or markitdown is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in {"chromadb", "markitdown"}:
            raise
        raise MissingExtraError(f"{library} is not installed. Install it with: {INSTALL}") from None
