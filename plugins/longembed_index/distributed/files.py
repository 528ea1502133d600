"""Files here and in object stores, by pyarrow."""

from __future__ import annotations

import os
from typing import Any

from longembed_index.errors import StoreError
from longembed_st.base.texts import is_url
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra


def system_of(place: str) -> tuple[Any, str]:
    """The file system of a place, and what the place is called there.

    Args:
        place: A path or a URL.

    Raises:
        OSError: If there is no way to it; of an unknown scheme, `ValueError`.
    """
    with needs_extra("ray", "pyarrow"):
        from pyarrow import fs  # type: ignore[import-untyped]

    if is_url(place):
        system, path = fs.FileSystem.from_uri(place)
        return system, path
    return fs.LocalFileSystem(), os.path.abspath(place)


def read_bytes(place: str) -> bytes:
    """All of a file.

    Args:
        place: Its path or URL.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        system, path = system_of(place)
        with system.open_input_stream(path) as stream:
            return bytes(stream.read())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}") from None


def write_bytes(place: str, content: bytes) -> None:
    """Write a file, whole or not at all.

    Args:
        place: Its path or URL; in an object store, it is there only once it is whole.
        content: All of it.

    Raises:
        StoreError: If that is not possible.
    """
    from pyarrow import fs

    try:
        system, path = system_of(place)
        is_local = isinstance(system, fs.LocalFileSystem)
        target = f"{path}.unfinished" if is_local else path
        if is_local:
            system.create_dir(path.rpartition("/")[0])
        with system.open_output_stream(target) as stream:
            stream.write(content)
        if is_local:
            system.move(target, path)
    except OSError as error:
        raise StoreError(f"cannot write {place}: {error}") from error
