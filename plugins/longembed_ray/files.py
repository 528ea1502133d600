"""Files on this machine and in object stores, through pyarrow."""

from __future__ import annotations

import os
from typing import Any

from longembed_index.errors import StoreError
from longembed_st.base.texts import is_url
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra


def file_system_of(place: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and what the place is called in it.

    Raises:
        OSError: If the file system cannot be reached; `ValueError` if the scheme is unknown.
    """
    with needs_extra("ray", "pyarrow"):
        from pyarrow import fs  # type: ignore[import-untyped]

    if is_url(place):
        system, path = fs.FileSystem.from_uri(place)
        return system, path
    return fs.LocalFileSystem(), os.path.abspath(place)


def read_bytes(place: str) -> bytes:
    """Return the content of a file, by its path or URL; raise `InputError` if it cannot be read."""
    try:
        system, path = file_system_of(place)
        with system.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}") from None


def write_bytes(place: str, content: bytes) -> None:
    """Write a file, whole or not at all; raise `StoreError` if it cannot be written."""
    from pyarrow import fs

    try:
        system, path = file_system_of(place)
        is_local = isinstance(system, fs.LocalFileSystem)
        target = f"{path}.unfinished" if is_local else path
        if is_local:
            system.create_dir(os.path.dirname(path))
        with system.open_output_stream(target, compression=None) as stream:
            stream.write(content)
        if is_local:
            system.move(target, path)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot write {place}: {error}") from error
