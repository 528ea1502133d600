"""All documents of a folder in memory, and rows of JSON lines."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from longembed_index.documents.files import find_files
from longembed_index.documents.sources import FileSource, content_of, parsed_of
from longembed_st.base.texts import escaped, has_text
from longembed_st.errors import InputError


def read_documents(
    folder: Path, on_failed: Callable[[str, str], None] | None = None
) -> dict[str, str]:
    """Read all documents of a folder, of every type that has a reader.

    Args:
        folder: Searched recursively; hidden files and folders are left out.
        on_failed: Called with the name of each file that cannot be read, and why.

    Returns:
        Text by name, which is the path below the folder with forward slashes; documents without
        any visible character are left out.

    Raises:
        InputError: If it is not a folder, or, without `on_failed`, if a file cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{escaped(folder)} is not a folder")
    listing = find_files([folder], follow_links=True)
    root = folder.resolve()
    failed = [(_name(Path(path), folder), reason) for path, reason in listing.unreadable]
    documents: dict[str, str] = {}
    for file in listing.files:
        name = _name(file.path, root)
        try:
            text = _text(file)
        except InputError as error:
            failed.append((name, str(error)))
            continue
        if has_text(text):
            documents[name] = text
    if failed and on_failed is None:
        name, reason = failed[0]
        others = f", and {len(failed) - 1} more cannot be read" if len(failed) > 1 else ""
        raise InputError(
            f"{escaped(folder / name)} {reason}{others}. Repair them, or move them elsewhere"
        )
    for name, reason in failed:
        on_failed(name, reason)  # type: ignore[misc]
    return documents


def jsonl_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read JSON lines, one at a time.

    Args:
        path: The file; unpacked if its name ends in .gz.

    Yields:
        Each line's place, for messages, and its object; blank lines are left out.

    Raises:
        InputError: If the file cannot be read, or a line is not a JSON object; it is named.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        # Other line ends than "\n" may stand inside a line's strings; Windows begins with a mark.
        with opened(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{escaped(path)}, line {number}"
                    yield where, _object(where, line)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{escaped(path)} cannot be read: {error}") from None


def _name(path: Path, root: Path) -> str:
    # A link may lead out of the folder.
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _text(file: FileSource) -> str:
    return parsed_of(file, content_of(file)).text


def _object(where: str, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: a JSON object is expected, not a {type(row).__name__}")
    return row
