"""Whether the vectors of a collection can still be found.

Chroma writes its vector files in place and checks nothing when it reads them: after a kill, or with
a file lost, a search finds less without a word, fails, or ends the process. So their checksum is
noted whenever they are known to be whole: after every write, and when all vectors were found in
them. Files of another checksum are those of a write that was cut off, which are not used any more,
or those that something else has changed, which are examined by a process of its own: it may crash.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from chromadb.errors import ChromaError

from chroma_longembed.copies import VectorCopies
from chroma_longembed.database import connect
from chroma_longembed.notes import note, read_notes
from longembed_index.embedding import ROWS, batches
from longembed_index.errors import StoreError
from longembed_index.processes import python_command
from longembed_index.similarity import cosine

if TYPE_CHECKING:
    from chromadb import Collection
    from numpy.typing import NDArray

_SAMPLE = 100
_WIDE = 300
_PATIENCE_SECONDS = 300
_SAME_COSINE = 0.999
_LARGE = 1_000_000_000
_HOLE = "a hole"
_LINKS = "link_lists.bin"
"""Every vector in the graph adds something to this file."""
_RESERVED = ("data_level0.bin", "length.bin")
"""Files with room for vectors: of an empty graph, filled at each opening with what is in memory."""


@dataclass(frozen=True)
class Damage:
    """What is wrong with the vectors of a collection.

    Attributes:
        lost: The ids of the records that no search can find.
        broken: Whether Chroma fails on the vector files; then it cannot even say what is lost.
    """

    lost: frozenset[str] = frozenset()
    broken: bool = False


class Health:
    """The vector files of a store, and what is known of them.

    Args:
        directory: Where Chroma has them.
        home: Where our own files are: the store's folder, also when Chroma works on a copy of it.

    Attributes:
        copies: The second copy of the vectors.
    """

    def __init__(self, directory: Path, home: Path) -> None:
        self._directory, self._home = directory, home
        self._states: dict[str, list[tuple[str, int, int]]] = {}
        self._changed: set[str] = set()
        self._damaged: set[str] = set()
        self.copies = VectorCopies(home)

    def damage(self, collection: Collection) -> Damage:
        """What is wrong with a collection; costs a checksum unless its files have changed.

        Args:
            collection: Found without its embedding function, and not used yet.
        """
        key, notes = str(collection.id), read_notes(self._home)
        files = self._checksum(collection)
        if files == notes.get(key):
            return Damage()
        if files == _HOLE or notes.get(_writing(key)):
            damage = Damage(broken=True)
        elif files:
            damage = self._examine_apart(collection)
        else:
            # All that there is to load is rows of the database.
            damage = examine(collection, self.copies)
        if damage == Damage():
            note(self._home, key, files)
        else:
            self._damaged.add(key)
        return damage

    def before_writing(self, collection: Collection) -> None:
        """To be called before a collection is written to: a run that is killed leaves this note."""
        key = str(collection.id)
        if key not in self._states:
            note(self._home, _writing(key), True)
            self._note_whole(collection)
            self._states[key] = self._state(collection)

    def after_writing(self, collection: Collection) -> None:
        """To be called after every write: files that have changed are whole now."""
        key, state = str(collection.id), self._state(collection)
        if state != self._states.get(key) or key in self._damaged:
            self._note_whole(collection)
            self._states[key] = state
            self._changed.add(key)

    def _note_whole(self, collection: Collection) -> None:
        key = str(collection.id)
        # What is being repaired is whole when all of it was seen to be there, and not before.
        note(self._home, key, None if key in self._damaged else self._checksum(collection))

    def needs_a_look(self, collection: Collection) -> bool:
        """Whether vectors went from memory to the files; if not, the writing ends here."""
        key = str(collection.id)
        if key not in self._changed:
            note(self._home, _writing(key), None)
        return key in self._changed

    def look_again(self, collection: Collection) -> Damage:
        """Look for all vectors in files that were just written; ends the writing if they are there.

        Args:
            collection: Of a client that was opened after the writing.
        """
        damage = examine(collection, self.copies)
        if damage == Damage():
            note(self._home, str(collection.id), self._checksum(collection))
            note(self._home, _writing(str(collection.id)), None)
        return damage

    def remove_files(self, collection: Collection) -> None:
        """Remove broken vector files, with which Chroma can neither read nor write anything.

        Args:
            collection: Not used yet by this process.

        Raises:
            StoreError: If they cannot be removed.
        """
        for file in self._files(collection):
            try:
                file.unlink()
            except OSError as error:
                raise StoreError(f"cannot remove {file.name}: {error.strerror}") from error

    def _examine_apart(self, collection: Collection) -> Damage:
        places = (str(self._directory), collection.name, str(self._home))
        with suppress(subprocess.SubprocessError, ValueError):
            done = subprocess.run(
                python_command(__name__, *places),
                capture_output=True,
                check=True,
                timeout=_PATIENCE_SECONDS,
            )
            found = json.loads(done.stdout)
            return Damage(frozenset(found["lost"]), found["broken"])
        return Damage(broken=True)

    def _checksum(self, collection: Collection) -> str:
        """Of all vector files; empty if there are none yet."""
        total = hashlib.blake2b(digest_size=16)
        files = self._files(collection)
        is_empty = any(file.name == _LINKS and not file.stat().st_size for file in files)
        for file in files:
            if _is_mostly_a_hole(file):
                return _HOLE
            total.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            if is_empty and file.name in _RESERVED:
                continue
            with file.open("rb") as opened:
                while part := opened.read(1 << 20):
                    total.update(part)
        return total.hexdigest() if files else ""

    def _state(self, collection: Collection) -> list[tuple[str, int, int]]:
        """What tells that files were written, at less than a checksum's cost."""
        statuses = ((file.name, file.stat()) for file in self._files(collection))
        return [(name, status.st_size, status.st_mtime_ns) for name, status in statuses]

    def _files(self, collection: Collection) -> list[Path]:
        # Chroma says nowhere else which folder is whose.
        query = "SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'"
        with closing(connect(self._directory)) as database:
            folders = database.execute(query, (str(collection.id),)).fetchall()
        found = (self._directory / folder for (folder,) in folders)
        return sorted(file for folder in found if folder.is_dir() for file in folder.iterdir())


def _writing(key: str) -> str:
    return f"{key} is being written"


def _is_mostly_a_hole(file: Path) -> bool:
    """Whether it is one of the files of terabytes that a kill can lead to, with nothing in them."""
    status = file.stat()
    blocks = getattr(status, "st_blocks", None)
    return blocks is not None and status.st_size > _LARGE and 512 * blocks < status.st_size // 10


def examine(collection: Collection, copies: VectorCopies) -> Damage:
    """Look for every vector of a collection; may crash the process if its files are damaged.

    Args:
        collection: Found without its embedding function.
        copies: What the vectors should be, as far as it is known.
    """
    broken = Damage(broken=True)
    try:
        ids = collection.get(include=[])["ids"]
        first = next(iter(_vectors(collection, _spread(ids, _SAMPLE))), None)
        if first is None:
            return Damage(frozenset(ids))
        query: Any = [first[1]]
        reached = collection.query(query_embeddings=query, n_results=len(ids), include=[])
        unreached = set(ids) - set(reached["ids"][0])
        lost = _unreadable(collection, sorted(unreached))
        there = [record_id for record_id in ids if record_id not in lost]
        pages = batches(there, ROWS)
        if not all(_as_they_should_be(collection, page, copies) for page in pages):
            return broken
        if not _are_found(collection, _spread(there, _SAMPLE), min(_WIDE, len(ids))):
            return broken
    except ChromaError:
        return broken
    return Damage(frozenset(lost))


def _unreadable(collection: Collection, ids: Sequence[str]) -> set[str]:
    """Those that are not there; the graph may not lead to vectors that are, if many are alike."""
    if not any(True for _ in _vectors(collection, _spread(ids, _SAMPLE))):
        # Asking one by one which of thousands can be read takes minutes.
        return set(ids)
    return set(ids) - {record_id for record_id, _ in _vectors(collection, ids)}


def _as_they_should_be(collection: Collection, ids: Sequence[str], copies: VectorCopies) -> bool:
    found: Any = collection.get(ids=list(ids), include=["documents", "embeddings"])
    vectors = dict(zip(found["ids"], found["embeddings"], strict=True))
    if not np.isfinite(found["embeddings"]).all():
        return False
    kept = copies.get(str(collection.id), dict(zip(found["ids"], found["documents"], strict=True)))
    return all(_same(vectors[key], vector) for key, vector in kept.items())


def _are_found(collection: Collection, ids: Sequence[str], wide: int) -> bool:
    """Whether the graph leads to most of these.

    Where hundreds of vectors are almost alike, a whole graph misses up to one in three of them if
    asked for the nearest alone, and one in seven in a wide search; a broken one leads nowhere.
    """
    if (collection.configuration_json.get("hnsw") or {}).get("space") == "ip":
        # By the inner product, a longer vector may be nearer than the vector itself.
        return True
    vectors: Any = [vector for _, vector in _vectors(collection, ids)]
    found: Any = collection.query(query_embeddings=vectors, n_results=wide, include=["embeddings"])
    nearest = (near[0] if len(near) else np.zeros_like(vectors[0]) for near in found["embeddings"])
    missed = sum(not _same(*pair) for pair in zip(vectors, nearest, strict=True))
    return missed <= len(ids) // 2


def _same(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    # Chroma keeps vectors at unit length if it compares them by angle.
    return a.shape == b.shape and (cosine(a, b) > _SAME_COSINE or not (a.any() or b.any()))


def _vectors(
    collection: Collection, ids: Sequence[str]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Those of the vectors that can be read: one that cannot fails all that are asked for."""
    if not ids:
        return
    try:
        found: Any = collection.get(ids=list(ids), include=["embeddings"])
    except ChromaError:
        if len(ids) > 1:
            middle = len(ids) // 2
            yield from _vectors(collection, ids[:middle])
            yield from _vectors(collection, ids[middle:])
        return
    yield from zip(found["ids"], found["embeddings"], strict=True)


def _spread(ids: Sequence[str], count: int) -> list[str]:
    return list(ids[:: max(1, len(ids) // count)])


def main(directory: str, name: str, home: str) -> None:
    """Examine a collection and write what was found to stdout, as JSON."""
    import chromadb

    client = chromadb.PersistentClient(directory)
    collection = client.get_collection(name, embedding_function=None)
    damage = examine(collection, VectorCopies(Path(home)))
    json.dump({"lost": sorted(damage.lost), "broken": damage.broken}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
