"""Optional libraries, and how to install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from longembed_st.errors import LongEmbedError


class MissingExtraError(LongEmbedError, ImportError):
    """A library of an extra is not installed."""


@contextmanager
def needs_extra(extra: str, *libraries: str) -> Iterator[None]:
    """Turn a failed import into the command that installs what is missing.

    Args:
        extra: Name of the extra that brings the libraries.
        *libraries: Import names, dotted where the first part is shared between packages.

    Raises:
        MissingExtraError: If one of the libraries is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or ""
        for library in libraries:
            if f"{missing}.".startswith(f"{library}."):
                command = f'pip install "longembed-st[{extra}]"'
                raise MissingExtraError(
                    f"{library} is not installed. Install it with: {command}"
                ) from None
        raise
