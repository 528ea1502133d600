"""Wait for files to change: `longembed index --watch`."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from longembed_index.documents.files import FoundFiles, find_files
from longembed_index.documents.parsing import Parser
from longembed_st.errors import InputError
from longembed_st.extras import needs_extra

SETTLED_MS = 1600
"""So long after a change more are waited for: a file that is being copied comes in pieces."""
LOOK_MS = 1000
"""How often to look whether a path itself was removed or replaced, which the system may not say."""


def changed_files(
    roots: Sequence[Path],
    store: Path,
    parser: Parser,
    changes: Iterable[set[Path]] | None = None,
    **search: Any,
) -> Iterator[FoundFiles]:
    """Yield the files that have changed, whenever some have; a change in the store is our own.

    What has changed is told by `changes`, sets of paths, or else by the system.
    """
    for changed in changes_of(roots, store) if changes is None else changes:
        present = [root for root in roots if os.path.lexists(root)]
        try:
            yield find_files(present, store, parser, **search).below(changed)
        except InputError:
            # A path has vanished meanwhile, which is a change of its own.
            continue


def changes_of(paths: Sequence[Path], store: Path) -> Iterator[set[Path]]:
    """Wait for changes under some paths, until somebody interrupts.

    A path may vanish and come back, as a drive does that is mounted again.

    Yields:
        After each change, or several that come together: the files and folders that changed,
        absolute and without symbolic links.
    """
    known = _identities(paths)
    while (yield from _changes_until_replaced(paths, store.resolve(), known)):
        known = _identities(paths)
        # What has changed before they are watched again is looked for in all of them.
        yield {path.resolve() for path in paths}


def _changes_until_replaced(
    paths: Sequence[Path], store: Path, known: Mapping[Path, tuple[int, int] | None]
) -> Generator[set[Path], None, bool]:
    """Yield changes until a path was removed, came back or was replaced.

    Returns:
        False if somebody has interrupted.
    """
    with needs_extra("index", "watchfiles"):
        import watchfiles

    def is_not_ours(change: watchfiles.Change, path: str) -> bool:
        return not Path(path).resolve().is_relative_to(store)

    existing = [path for path in paths if known[path] is not None]
    if not existing:
        return _wait_for_one(paths)
    roots = {os.path.realpath(path) for path in existing if path.is_dir()}
    try:
        for together in watchfiles.watch(
            *existing,
            watch_filter=is_not_ours,
            debounce=SETTLED_MS,
            rust_timeout=LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
        ):
            changed = {Path(path).resolve() for _, path in together}
            if changed:
                yield changed
            # A new folder can have the number of the old one.
            is_told = not roots.isdisjoint(map(str, changed))
            if is_told or _identities(paths) != known:
                return True
    except FileNotFoundError:
        # A path has vanished before it was watched.
        return True
    return False


def _wait_for_one(paths: Sequence[Path]) -> bool:
    try:
        while not any(_identities(paths).values()):
            time.sleep(LOOK_MS / 1000)
    except KeyboardInterrupt:
        return False
    return True


def _identities(paths: Sequence[Path]) -> dict[Path, tuple[int, int] | None]:
    """Return what tells the file or folder at each path from others; None if there is none."""
    identities: dict[Path, tuple[int, int] | None] = {}
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            identities[path] = None
        else:
            identities[path] = (status.st_dev, status.st_ino)
    return identities
