"""What names a store on a command line: a folder, perhaps with its kind, or an object store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from longembed_index.opening import kind_of, kinds
from longembed_index.store import REMOTE, KeepsElsewhere
from longembed_st.base.texts import is_url
from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra
from longembed_st.files import cache_folder, write_text

PARQUET = "parquet"
"""Goes before a folder for the rows of `longembed index --ray`."""


@dataclass(frozen=True)
class Address:
    """A place for a store.

    Attributes:
        directory: Its folder; of a store elsewhere, the folder on this machine that stands for it.
        kind: The kind that was asked for; None for what is there, or else for the default.
        url: Of `PARQUET`, which is no store but a folder of files, or its URL.
    """

    directory: Path
    kind: str | None = None
    url: str | None = None


def address_of(text: str) -> Address:
    """Read the name of a store.

    Args:
        text: `DIR`, `KIND:DIR`, or `KIND:SCHEME://PLACE` for a store in an object store.

    Returns:
        The place; of an object store, a folder below the cache stands for it, and is made.

    Raises:
        ConfigError: If the kind has no stores in such places, or there is a store of another kind.
    """
    name, colon, place = text.partition(":")
    # Only a folder with a colon in its name takes the time to look which kinds there are.
    kind = name if colon and name in kinds() else None
    place = place if kind else text
    if not place:
        raise ConfigError(f"{text!r} names no folder")
    if not is_url(place):
        directory = Path(place)
        if kind is not None:
            kind_of(directory, kind)
        return Address(directory, kind)
    if kind is None:
        able = [name for name, one in kinds().items() if isinstance(one, KeepsElsewhere)]
        raise ConfigError(
            f"{text} is no folder. Of the installed kinds of stores, {', '.join(able) or 'none'} "
            f"can be elsewhere; its name goes before the address: {(able or ['KIND'])[0]}:{text}"
        )
    return Address(_stand_in(kind, place), kind)


def _stand_in(kind: str, address: str) -> Path:
    """The folder on this machine that stands for a store elsewhere."""
    if not isinstance(kinds()[kind], KeepsElsewhere):
        raise ConfigError(f"stores of kind {kind!r} are in folders, none can be at {address}")
    with needs_extra(kind, "platformdirs"):
        base = cache_folder()
    address = address.rstrip("/")
    name = hashlib.sha256(f"{kind}:{address}".encode()).hexdigest()[:16]
    folder = base / "stores" / f"{kind}-{name}"
    if not (folder / REMOTE).is_file():
        write_text(folder / REMOTE, address + "\n")
    return folder
