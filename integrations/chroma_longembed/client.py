"""Connections to Chroma, in a folder or on a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import chromadb

from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped, is_url
from longembed_st.errors import LongEmbedError

if TYPE_CHECKING:
    from chromadb.api import ClientAPI


@contextmanager
def connected(place: str, action: str, hint: str = "") -> Iterator[ClientAPI]:
    """Connect to Chroma, and close the connection at the end.

    Args:
        place: The folder of the database, or the URL of the server.
        action: What is being done, for the message: "read", "write to".
        hint: What to do, for the message; it begins with a full stop.

    Raises:
        StoreError: If Chroma raises anything; not all of it is an error of its own.
    """
    try:
        with closing(_connect(place)) as client:
            yield client
    except LongEmbedError:
        raise
    except Exception as error:
        raise StoreError(f"cannot {action} Chroma at {escaped(place)}: {error}{hint}") from error


def _connect(place: str) -> Any:
    # Typed by Chroma without its `close`, which frees the files.
    if not is_url(place):
        return chromadb.PersistentClient(place)
    url = urlsplit(place)
    is_safe = url.scheme == "https"
    port = url.port or (443 if is_safe else 8000)
    return chromadb.HttpClient(url.hostname or "localhost", port, ssl=is_safe)
