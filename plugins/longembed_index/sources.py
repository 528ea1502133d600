"""Where documents come from: files found under paths, or texts that are already in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from longembed_index.parsed import Parsed, first_line
from longembed_index.parsing import DEFAULT_PARSER, Parser
from longembed_index.readers import READERS, is_parsed, reader_of, suffix_of
from longembed_st.base.texts import escaped, has_text
from longembed_st.errors import InputError, LongEmbedError

# Not to wait for the other end of a pipe, where there is such a thing.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Source(Protocol):
    """A document that has not been read yet."""

    @property
    def name(self) -> str:
        """What it is called in the store; two documents never share a name."""

    @property
    def title(self) -> str:
        """What a person calls it, if it has no title of its own."""

    @property
    def size(self) -> int:
        """About how much there is to read, in bytes."""

    def content(self) -> bytes:
        """Its bytes, by which a change is noticed; `InputError` if they cannot be had."""

    def read(self, content: bytes) -> Parsed:
        """The text and title of these bytes; `InputError` if they hold none."""


def content_of(source: Source) -> bytes:
    """The bytes of a document.

    Args:
        source: Any; its method may raise whatever it likes.

    Raises:
        InputError: If they cannot be had, for any reason: one document never stops the others.
    """
    with _contained():
        return source.content()


def parsed_of(source: Source, content: bytes) -> Parsed:
    """The text and title of a document.

    Args:
        source: Any; its method may raise whatever it likes.
        content: Its bytes.

    Returns:
        Both; the text may be blank.

    Raises:
        InputError: If there is none, for any reason.
        MissingExtraError: If a library is missing, which does stop the others.
    """
    with _contained():
        return source.read(content)


def readable_of(source: Source, content: bytes) -> Parsed:
    """The text and title of a document that has a text.

    Args:
        source: Any; its method may raise whatever it likes.
        content: Its bytes.

    Raises:
        InputError: If there is no text, for any reason, or none that can be seen.
        MissingExtraError: As `parsed_of`.
    """
    if not content.strip():
        raise InputError("is empty")
    parsed = parsed_of(source, content)
    if not has_text(parsed.text):
        raise InputError("has no text")
    return parsed


@contextmanager
def _contained() -> Iterator[None]:
    try:
        yield
    except (LongEmbedError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(f"cannot be read: {type(error).__name__}: {first_line(error)}") from error


@dataclass(frozen=True)
class FileSource:
    """A file.

    Attributes:
        path: Absolute, without symbolic links.
        size: In bytes.
        parser: Reads it, unless it is plain text.
    """

    path: Path
    size: int
    parser: Parser = field(default=DEFAULT_PARSER, repr=False, compare=False)

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
            # A pipe that has taken its place meanwhile would never end.
            with open(os.open(self.path, os.O_RDONLY | _AT_ONCE), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InputError("is no longer a regular file")
                return file.read()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None

    def read(self, content: bytes) -> Parsed:
        """Text and title of the file; one of unknown type that was named is taken for plain text.

        Args:
            content: The file's bytes.

        Raises:
            InputError: If it cannot be read as what its name says.
        """
        suffix = suffix_of(self.path)
        if is_parsed(suffix):
            return self.parser.read(suffix, content)
        return reader_of(suffix)(content)


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

    def read(self, content: bytes) -> Parsed:
        """The text, with the title that was given."""
        return Parsed(self.document, self.title)


@dataclass
class Found:
    """What there is under some paths.

    Attributes:
        files: Files to read, in a fixed order, each once.
        skipped: Files of a type that nothing here reads, and what is not a regular file.
        unreadable: Folders and files that could not be looked at, with the reason.
    """

    files: list[Any] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def among(self, changed: set[Path]) -> Found:
        """What of it is, or is somewhere below, one of these.

        Args:
            changed: Files and folders; absolute, without symbolic links.
        """

        def is_among(path: Path) -> bool:
            return not changed.isdisjoint((path, *path.parents))

        return Found(
            [file for file in self.files if is_among(file.path)],
            [path for path in self.skipped if is_among(_real(path))],
            [(name, why) for name, why in self.unreadable if is_among(_real(Path(name)))],
        )


def find_files(
    paths: Iterable[Path],
    exclude: Path | None = None,
    parser: Parser = DEFAULT_PARSER,
    *,
    only: Sequence[str] = (),
    but: Sequence[str] = (),
) -> Found:
    """Look for documents, folders recursively; hidden files and folders are left out.

    A file that is named itself is always taken, whatever its type.

    Args:
        paths: Files and folders.
        exclude: A folder not to look into: the store itself.
        parser: Is going to read those that are not plain text.
        only: Patterns, one of which a file in a folder must meet, by its name or by its path from
            there; `*` stands for any characters, `/` among them. None for all files.
        but: Patterns of files to leave out, likewise.

    Returns:
        What was found.

    Raises:
        InputError: If a path does not exist.
    """
    found = Found()
    files: dict[Path, FileSource] = {}
    excluded = exclude and _real(exclude)
    for path in paths:
        # What cannot be looked at is reported below; what is not there is a typing error.
        if not os.path.lexists(path):
            raise InputError(f"{escaped(path)} does not exist")
        is_folder = path.is_dir()
        for file in _walk(path, excluded, found) if is_folder else [path]:
            if is_folder and not _is_wanted(file, path, only, but):
                continue
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
                files.setdefault(target, FileSource(target, status.st_size, parser))
    found.files = [files[path] for path in sorted(files)]
    return found


def _is_wanted(file: Path, root: Path, only: Sequence[str], but: Sequence[str]) -> bool:
    ways = (file.name, file.relative_to(root).as_posix())

    def meets(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(way, pattern) for way in ways for pattern in patterns)

    return (not only or meets(only)) and not meets(but)


def is_missing(name: str) -> bool:
    """Whether a document was a file that is not there any more.

    Args:
        name: The document's name in the store; only an absolute path names a file.

    Returns:
        False for a file that is only out of reach at the moment.
    """
    if not os.path.isabs(name):
        return False
    try:
        os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_gone(name: str, roots: Iterable[Path]) -> bool:
    """Whether a stored file was deleted from one of these places.

    Args:
        name: The document's name in the store.
        roots: Files and folders.

    Returns:
        False for a file elsewhere, and for one that is only out of reach at the moment.
    """
    return is_missing(name) and any(Path(name).is_relative_to(_real(root)) for root in roots)


def emptied(roots: Iterable[Path], found: Found, names: Iterable[str]) -> list[tuple[Path, int]]:
    """Folders in which nothing is left of what a store has from there: a drive may be unmounted.

    Args:
        roots: Files and folders that were looked through.
        found: What was found there.
        names: The documents of the store.

    Returns:
        Each such folder, with the number of the store's documents that were below it.
    """
    stored = [Path(name) for name in names]
    counts = []
    for root in map(_real, roots):
        count = sum(path.is_relative_to(root) for path in stored)
        if count and not any(file.path.is_relative_to(root) for file in found.files):
            counts.append((root, count))
    return counts


def _real(path: Path) -> Path:
    # Unlike `resolve`, this takes a loop of links, too.
    return Path(os.path.realpath(path))


def _walk(root: Path, exclude: Path | None, found: Found) -> Iterator[Path]:
    # Not by recursion: folders can be nested thousands deep.
    waiting = [(root, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        if exclude is not None and _real(path) == exclude:
            continue
        try:
            entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
        except OSError as error:
            found.unreadable.append((str(path), f"cannot be listed: {error.strerror}"))
            continue
        for entry in entries:
            # Links to folders are not followed: they can lead back up.
            is_link_to_folder = entry.is_symlink() and os.path.isdir(entry.path)
            if not entry.name.startswith(".") and not is_link_to_folder:
                waiting.append((path / entry.name, entry.is_dir(follow_symlinks=False)))
