"""A second copy of a store's vectors: what Chroma's own files lose need not be computed again.

Measured on 10,000 documents of 5,000 characters (benchmarks/vector_copies.py): a file of our own
adds 5 % to the store and no time; in Chroma's metadata or its log, the copy would add 18 %.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from longembed_index.derived import DerivedFile, id_of, key_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from longembed_index.records import Record

FILE = "longembed.vectors.sqlite3"

_TABLE = """
CREATE TABLE IF NOT EXISTS vectors (
    collection TEXT, id BLOB, text BLOB, vector BLOB, checksum INTEGER, PRIMARY KEY (collection, id)
) WITHOUT ROWID
"""


class VectorCopies:
    """Vectors by collection and record.

    A damaged copy is thrown away and begun anew: it is only a copy.

    Args:
        directory: The folder of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._file = DerivedFile(directory / FILE, _TABLE)

    def put(self, collection: str, records: Iterable[Record]) -> None:
        """Keep the vectors of records; earlier ones of the same ids are replaced.

        Args:
            collection: Its key in Chroma, which a renaming does not change.
            records: With vectors.

        Raises:
            StoreError: If they cannot be written.
        """
        rows = [_row(collection, record) for record in records if record.vector is not None]
        self._file.write("REPLACE INTO vectors VALUES (?, ?, ?, ?, ?)", rows)

    def delete(self, collection: str, ids: Iterable[str]) -> None:
        """Forget the vectors of some records; raises `StoreError` if that cannot be written."""
        rows = [(collection, key_of(record_id)) for record_id in ids]
        self._file.write("DELETE FROM vectors WHERE collection = ? AND id = ?", rows)

    def drop(self, collection: str) -> None:
        """Forget a collection; raises `StoreError` if that cannot be written."""
        self._file.write("DELETE FROM vectors WHERE collection = ?", [(collection,)])

    def get(
        self, collection: str, texts: Mapping[str, str | None]
    ) -> dict[str, NDArray[np.float32]]:
        """The vectors that were kept for some records as they are now.

        Args:
            collection: Its key in Chroma.
            texts: The present text of each record, by id.

        Returns:
            By id, each of shape (dimension,); without those that are not there, are damaged, or
            belong to another text.
        """
        found: dict[str, NDArray[np.float32]] = {}
        with suppress(sqlite3.Error), self._file.reading() as database:
            for record_id, text in texts.items():
                row = database.execute(
                    "SELECT text, vector, checksum FROM vectors WHERE collection = ? AND id = ?",
                    (collection, key_of(record_id)),
                ).fetchone()
                if row and row[0] == _digest(text) and row[2] == zlib.crc32(row[1]):
                    found[record_id] = np.frombuffer(row[1], dtype="<f4")
        return found

    def ids(self, collection: str) -> set[str]:
        """The ids of a collection that have a copy; none if the copy cannot be read."""
        with suppress(sqlite3.Error), self._file.reading() as database:
            rows = database.execute("SELECT id FROM vectors WHERE collection = ?", (collection,))
            return {id_of(key) for (key,) in rows}
        return set()


def _row(collection: str, record: Record) -> tuple[object, ...]:
    vector = np.asarray(record.vector, dtype="<f4").tobytes()
    return (collection, key_of(record.id), _digest(record.text), vector, zlib.crc32(vector))


def _digest(text: str | None) -> bytes:
    return hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()
