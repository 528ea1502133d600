"""Where documents come from: files found under paths, or texts that are already in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from longembed_index.readers import READERS, read_text, suffix_of
from longembed_st.errors import InputError
from longembed_st.texts import shown


class Source(Protocol):
    """A document that has not been read yet."""

    @property
    def name(self) -> str:
        """What it is called in the store; two documents never share a name."""

    @property
    def title(self) -> str:
        """What a person calls it."""

    @property
    def size(self) -> int:
        """About how much there is to read, in bytes."""

    def content(self) -> bytes:
        """Its bytes, by which a change is noticed; `InputError` if they cannot be had."""

    def text(self, content: bytes) -> str:
        """The text of these bytes; `InputError` if they hold none."""


@dataclass(frozen=True)
class FileSource:
    """A file.

    Attributes:
        path: Absolute, without symbolic links.
        size: In bytes.
    """

    path: Path
    size: int

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def title(self) -> str:
        """The file name."""
        return self.path.name

    def content(self) -> bytes:
        """The file's bytes.

        Raises:
            InputError: If it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None

    def text(self, content: bytes) -> str:
        """The text of the file; one of unknown type, named by the user, is taken for plain text.

        Args:
            content: The file's bytes.

        Raises:
            InputError: If it cannot be read as what its name says.
        """
        return READERS.get(suffix_of(self.path), read_text)(content)


@dataclass(frozen=True)
class TextSource:
    """A text in memory."""

    name: str
    document: str
    title: str = ""

    @property
    def size(self) -> int:
        """Its characters."""
        return len(self.document)

    def content(self) -> bytes:
        """The text's bytes."""
        return self.document.encode("utf-8", "surrogatepass")

    def text(self, content: bytes) -> str:
        """The text."""
        return self.document


@dataclass
class Found:
    """What there is under some paths.

    Attributes:
        files: Files to read, in a fixed order, each once.
        skipped: Files of a type that nothing here reads, and what is not a regular file.
        unreadable: Folders and files that could not be looked at, with the reason.
    """

    files: list[FileSource] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def find_files(paths: Iterable[Path], exclude: Path | None = None) -> Found:
    """Look for documents, folders recursively; hidden files and folders are left out.

    A file that is named itself is always taken, whatever its type.

    Args:
        paths: Files and folders.
        exclude: A folder not to look into: the store itself.

    Returns:
        What was found.

    Raises:
        InputError: If a path does not exist.
    """
    found = Found()
    files: dict[Path, FileSource] = {}
    # Unlike `resolve`, this takes a loop of links, too.
    excluded = exclude and Path(os.path.realpath(exclude))
    for path in paths:
        # What cannot be looked at is reported below; what is not there is a typing error.
        if not os.path.lexists(path):
            raise InputError(f"{shown(path)} does not exist")
        is_folder = path.is_dir()
        for file in _walk(path, excluded, found) if is_folder else [path]:
            try:
                target = file.resolve(strict=True)
                status = target.stat()
            except (OSError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or "is a loop of symbolic links"
                found.unreadable.append((str(file), f"cannot be read: {reason}"))
                continue
            # Opening a pipe or a device would wait for ever.
            if not stat.S_ISREG(status.st_mode) or (is_folder and suffix_of(target) not in READERS):
                found.skipped.append(file)
            else:
                files.setdefault(target, FileSource(target, status.st_size))
    found.files = [files[path] for path in sorted(files)]
    return found


def is_gone(name: str, roots: Iterable[Path]) -> bool:
    """Whether a stored file was deleted from one of these places.

    Args:
        name: The document's name in the store.
        roots: Files and folders.

    Returns:
        False for a file elsewhere, and for one that is only out of reach at the moment.
    """
    if not any(Path(name).is_relative_to(root.resolve()) for root in roots):
        return False
    try:
        os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _walk(folder: Path, exclude: Path | None, found: Found) -> Iterator[Path]:
    if exclude is not None and Path(os.path.realpath(folder)) == exclude:
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.unreadable.append((str(folder), f"cannot be listed: {error.strerror}"))
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        # Links to folders are not followed: they can lead back up.
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, exclude, found)
        elif not (entry.is_symlink() and os.path.isdir(entry.path)):
            yield folder / entry.name
