"""Wait for files to change: `longembed index --watch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from longembed_st.extras import needs_extra

SETTLED_MS = 1600
"""So long after a change more are waited for: a file that is being copied comes in pieces."""


def changes_of(paths: Sequence[Path], store: Path) -> Iterator[set[Path]]:
    """Wait for changes under some paths, until somebody interrupts.

    Args:
        paths: Files and folders.
        store: A folder whose changes are our own.

    Yields:
        After each change, or several that come together: the files and folders that changed,
        absolute and without symbolic links.
    """
    with needs_extra("index", "watchfiles"):
        import watchfiles
    own_folder = store.resolve()

    def is_not_ours(change: watchfiles.Change, path: str) -> bool:
        return not Path(path).resolve().is_relative_to(own_folder)

    for together in watchfiles.watch(
        *paths, watch_filter=is_not_ours, debounce=SETTLED_MS, raise_interrupt=False
    ):
        yield {Path(path).resolve() for _, path in together}
