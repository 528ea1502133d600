"""Files and folders that are written as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from longembed_st.errors import ConfigError

CACHE = "LONGEMBED_CACHE"
"""The environment variable that names another cache folder."""


def cache_folder() -> Path:
    """Return the cache folder: the user's, or the one that the variable names.

    Raises:
        ModuleNotFoundError: If platformdirs is not installed.
    """
    from platformdirs import user_cache_path

    folder = os.environ.get(CACHE)
    return Path(folder) if folder else user_cache_path("longembed-st")


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name and rename it, so that a killed run leaves no half of it.

    Args:
        path: The file; its folder is made if needed, and an earlier file of the name replaced.
        write: Writes the content to an open binary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            write(file)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_atomically(path, lambda file: file.write(text.encode("utf8")))


def refuse_existing(folder: Path) -> None:
    """Raise `ConfigError` unless a folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not an empty folder; choose a new one")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder under another name; it is renamed when the block ends without an error.

    Yields:
        Where to write.

    Raises:
        ConfigError: If the folder holds something already.
    """
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    unfinished.mkdir()
    try:
        yield unfinished
        if folder.exists():
            # Some systems cannot rename a folder over another, even over an empty one.
            folder.rmdir()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
