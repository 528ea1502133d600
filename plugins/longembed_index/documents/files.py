"""Files that are found under paths, and files that are not there any more."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longembed_index.documents.parsing import DEFAULT_PARSER, Parser
from longembed_index.documents.readers import READERS, suffix_of
from longembed_index.documents.sources import FileSource, json_metadata
from longembed_index.patterns import matches_pattern
from longembed_st.base.texts import escaped
from longembed_st.errors import InputError


@dataclass
class FoundFiles:
    """The files under some paths, and what was skipped there.

    Attributes:
        files: Files to read, in a fixed order, each once.
        skipped: Files of a type that no reader knows, and what is not a regular file.
        unreadable: Folders and files that could not be looked at, with the reason.
        links: Links that lead out of the paths, and were not followed.
    """

    files: list[FileSource] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def below(self, places: set[Path]) -> FoundFiles:
        """Return the part that is, or lies below, one of some places.

        Args:
            places: Files and folders; absolute, without symbolic links.
        """

        def is_below(path: Path) -> bool:
            return not places.isdisjoint((path, *path.parents))

        return FoundFiles(
            [file for file in self.files if is_below(file.path)],
            [path for path in self.skipped if is_below(_real(path))],
            [(name, reason) for name, reason in self.unreadable if is_below(_real(Path(name)))],
            [link for link in self.links if is_below(_real(link.parent) / link.name)],
        )


def find_files(
    paths: Iterable[Path],
    exclude_folder: Path | None = None,
    parser: Parser = DEFAULT_PARSER,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> FoundFiles:
    """Look for documents, folders recursively; hidden files and folders are left out.

    A file that is named itself is always taken, whatever its type. A file with several names in the
    folders, by links, is one document.

    Args:
        paths: Files and folders.
        exclude_folder: A folder not to look into: the store itself.
        parser: Reads the files that are not plain text.
        include: Patterns. A file in a folder must match one of them, by its name or by its path
            below the folder; `*` stands for any characters, `/` among them. Empty for all files.
        exclude: Patterns of files to leave out, matched in the same way.
        follow_links: Whether to follow links in folders that lead out of the paths.
        metadata: Added to the fields that each file states.

    Returns:
        What was found.

    Raises:
        InputError: If a path does not exist, or the metadata is not JSON.
    """
    result = FoundFiles()
    metadata = json_metadata(metadata or {})
    files: dict[Path, FileSource] = {}
    paths = list(paths)
    walk = _Walk(result, [_real(path) for path in paths], exclude_folder, follow_links)
    refuse_missing(paths)
    for path in paths:
        is_folder = path.is_dir()
        for file in walk.files(path) if is_folder else [path]:
            if is_folder and not _is_wanted(file, path, include, exclude):
                continue
            try:
                target = file.resolve(strict=True)
                status = target.stat()
            except (OSError, RuntimeError) as error:
                reason = getattr(error, "strerror", None) or "is a loop of symbolic links"
                result.unreadable.append((str(file), f"cannot be read: {reason}"))
                continue
            if is_folder and not follow_links and walk.leads_out(target):
                result.links.append(file)
                continue
            # Opening a pipe or a device would wait for ever.
            if not stat.S_ISREG(status.st_mode) or (is_folder and suffix_of(target) not in READERS):
                result.skipped.append(file)
            else:
                files.setdefault(target, FileSource(target, status.st_size, parser, metadata))
    result.files = [files[path] for path in sorted(files)]
    return result


def refuse_missing(paths: Iterable[Path]) -> None:
    """Raise `InputError` if a path does not exist: a typing error. A locked file exists."""
    for path in paths:
        if not os.path.lexists(path):
            raise InputError(f"{escaped(path)} does not exist")


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


def is_missing_below(document_id: str, roots: Iterable[Path]) -> bool:
    """Return whether a document was a file below one of some places and does not exist any more."""
    return _is_below(document_id, [_real(root) for root in roots]) and is_missing(document_id)


def emptied_folders(roots: Iterable[Path], ids: Iterable[str]) -> list[tuple[Path, int]]:
    """Return the places from which all known documents are gone: a drive may be unmounted.

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


class _Walk:
    """A search of folders."""

    def __init__(
        self, result: FoundFiles, roots: list[Path], exclude: Path | None, follow_links: bool
    ) -> None:
        self._result, self._roots, self._follow_links = result, roots, follow_links
        self._excluded = exclude and _real(exclude)

    def leads_out(self, target: Path) -> bool:
        """Return whether the target of a link is outside all roots."""
        return not any(target.is_relative_to(root) for root in self._roots)

    def files(self, root: Path) -> Iterator[Path]:
        """Yield the files of a folder and of its folders, each folder behind links once."""
        # Not by recursion: folders can be nested thousands deep.
        waiting = [(root, True, False)]
        behind_links: set[Path] = set()
        while waiting:
            path, is_folder, is_behind_link = waiting.pop()
            if not is_folder:
                yield path
                continue
            if self._excluded is not None and _real(path) == self._excluded:
                continue
            if is_behind_link:
                folder = _real(path)
                if folder in behind_links or self._is_searched(folder):
                    continue
                behind_links.add(folder)
            try:
                entries = sorted(os.scandir(path), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self._result.unreadable.append((str(path), f"cannot be listed: {error.strerror}"))
                continue
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                below = path / entry.name
                if not (entry.is_symlink() and os.path.isdir(entry.path)):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    waiting.append((below, is_folder, is_behind_link))
                elif self._follow_links:
                    waiting.append((below, True, True))
                elif not self._is_searched(_real(below)):
                    self._result.links.append(below)

    def _is_searched(self, folder: Path) -> bool:
        """Return whether a folder is looked through without the link, or must not be."""
        if self._excluded is not None and folder.is_relative_to(self._excluded):
            return True
        below = [folder.relative_to(r).parts for r in self._roots if folder.is_relative_to(r)]
        return any(not any(part.startswith(".") for part in parts) for parts in below)
