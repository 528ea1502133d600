"""Optional libraries, and how to install them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

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
                raise _missing(extra, library) from None
        raise


def require_extra(extra: str, *libraries: str) -> None:
    """Raise if a library is not installed, without importing it.

    Args:
        extra: Name of the extra that brings the libraries.
        *libraries: Their import names, without dots.

    Raises:
        MissingExtraError: If one of the libraries is not installed.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise _missing(extra, library)


def _missing(extra: str, library: str) -> MissingExtraError:
    command = f'pip install "longembed-st[{extra}]"'
    return MissingExtraError(f"{library} is not installed. Install it with: {command}")
