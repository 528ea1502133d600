"""Files that are found under paths, and files that are not there any more."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from longembed_index.documents.parsing import DEFAULT_PARSER, Parser
from longembed_index.documents.readers import READERS, suffix_of
from longembed_index.documents.sources import FileSource
from longembed_index.patterns import matches_pattern
from longembed_st.base.texts import escaped
from longembed_st.errors import InputError


@dataclass
class FoundFiles:
    """What there is under some paths.

    Attributes:
        files: Files to read, in a fixed order, each once.
        skipped: Files of a type that no reader knows, and what is not a regular file.
        unreadable: Folders and files that could not be looked at, with the reason.
    """

    files: list[FileSource] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)

    def among(self, changed: set[Path]) -> FoundFiles:
        """Return the part that is, or lies below, one of some places.

        Args:
            changed: Files and folders; absolute, without symbolic links.
        """

        def is_among(path: Path) -> bool:
            return not changed.isdisjoint((path, *path.parents))

        return FoundFiles(
            [file for file in self.files if is_among(file.path)],
            [path for path in self.skipped if is_among(_real(path))],
            [(name, reason) for name, reason in self.unreadable if is_among(_real(Path(name)))],
        )


def find_files(
    paths: Iterable[Path],
    exclude_folder: Path | None = None,
    parser: Parser = DEFAULT_PARSER,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> FoundFiles:
    """Look for documents, folders recursively; hidden files and folders are left out.

    A file that is named itself is always taken, whatever its type.

    Args:
        paths: Files and folders.
        exclude_folder: A folder not to look into: the store itself.
        parser: Reads the files that are not plain text.
        include: Patterns. A file in a folder must match one of them, by its name or by its path
            below the folder; `*` stands for any characters, `/` among them. Empty for all files.
        exclude: Patterns of files to leave out, matched in the same way.

    Returns:
        What was found.

    Raises:
        InputError: If a path does not exist.
    """
    found = FoundFiles()
    files: dict[Path, FileSource] = {}
    excluded = exclude_folder and _real(exclude_folder)
    for path in paths:
        # What cannot be looked at is reported below; what does not exist is a typing error.
        if not os.path.lexists(path):
            raise InputError(f"{escaped(path)} does not exist")
        is_folder = path.is_dir()
        for file in _walk(path, excluded, found) if is_folder else [path]:
            if is_folder and not _is_wanted(file, path, include, exclude):
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


def is_missing(document_id: str) -> bool:
    """Return whether a document was a file that does not exist any more.

    Args:
        document_id: The document's id; only an absolute path names a file.

    Returns:
        False for a file that is only out of reach at the moment.
    """
    if not os.path.isabs(document_id):
        return False
    try:
        os.stat(document_id)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def is_gone(document_id: str, roots: Iterable[Path]) -> bool:
    """Return whether a document was a file below one of some places and does not exist any more.

    Args:
        document_id: The document's id.
        roots: Files and folders.
    """
    return _is_below(document_id, [_real(root) for root in roots]) and is_missing(document_id)


def emptied_folders(roots: Iterable[Path], ids: Iterable[str]) -> list[tuple[Path, int]]:
    """Return the places from which all known documents are gone: a drive may be unmounted.

    Args:
        roots: Files and folders.
        ids: All documents that are known, new ones among them.

    Returns:
        Each such place, without symbolic links, with the number of documents known from there.
    """
    paths = [Path(document_id) for document_id in ids if os.path.isabs(document_id)]
    emptied = []
    for root in map(_real, roots):
        below = [path for path in paths if path.is_relative_to(root)]
        if below and all(is_missing(str(path)) for path in below):
            emptied.append((root, len(below)))
    return emptied


def _is_below(document_id: str, roots: Iterable[Path]) -> bool:
    return any(Path(document_id).is_relative_to(root) for root in roots)


def _is_wanted(file: Path, root: Path, include: Sequence[str], exclude: Sequence[str]) -> bool:
    names = (file.name, file.relative_to(root).as_posix())

    def matches(patterns: Sequence[str]) -> bool:
        return any(matches_pattern(name, pattern) for name in names for pattern in patterns)

    return (not include or matches(include)) and not matches(exclude)


def _real(path: Path) -> Path:
    # Unlike `resolve`, this takes a loop of links, too.
    return Path(os.path.realpath(path))


def _walk(root: Path, exclude: Path | None, found: FoundFiles) -> Iterator[Path]:
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
