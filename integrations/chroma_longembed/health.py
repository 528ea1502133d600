"""Whether the vectors of a collection can still be found.

Chroma writes its vector files in place and checks nothing when it reads them: after a kill, or with
a file lost, a search finds less without a word, fails, or ends the process. So a checksum of the
files is noted whenever all vectors were found in them. Files that have another one are examined by
a process of its own, which may crash: `main` is what it runs.
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
from longembed_index.embedding import batches
from longembed_index.errors import StoreError
from longembed_index.processes import python_command
from longembed_index.similarity import cosine

if TYPE_CHECKING:
    from chromadb import Collection
    from numpy.typing import NDArray

_PAGE = 1000
_DOCUMENTS = 50
"""As many are held in memory with their texts."""
_SAMPLE = 100
_PATIENCE_SECONDS = 300
_SAME_COSINE = 0.999


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
        trusted: Whether these files can be examined in this process, being just written by it.

    Attributes:
        copies: The second copy of the vectors.
    """

    def __init__(self, directory: Path, home: Path, *, trusted: bool = False) -> None:
        self._directory, self._home, self._trusted = directory, home, trusted
        self._before: dict[str, Any] = {}
        self.copies = VectorCopies(home)

    def damage(self, collection: Collection) -> Damage:
        """What is wrong with a collection; costs a checksum unless its files have changed.

        Args:
            collection: Found without its embedding function.
        """
        key, files = str(collection.id), self._checksum(collection)
        if read_notes(self._home).get(key) == files:
            return Damage()
        # Without files, all that there is to load is rows of the database.
        apart = files and not self._trusted
        damage = self._examine_apart(collection) if apart else examine(collection, self.copies)
        if damage == Damage():
            note(self._home, key, files)
        return damage

    def expect_changes(self, collection: Collection) -> None:
        """To be called before a collection is written to: a run that is killed leaves no note."""
        key = str(collection.id)
        if key not in self._before:
            self._before[key] = read_notes(self._home).get(key)
            note(self._home, key, None)

    def have_changed(self, collection: Collection) -> bool:
        """Whether the files are others than those in which all vectors were found last."""
        key, files = str(collection.id), self._checksum(collection)
        if self._before.get(key) == files:
            note(self._home, key, files)
        return read_notes(self._home).get(key) != files

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
        for file in files:
            total.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as opened:
                while part := opened.read(1 << 20):
                    total.update(part)
        return total.hexdigest() if files else ""

    def _files(self, collection: Collection) -> list[Path]:
        # Chroma says nowhere else which folder is whose.
        query = "SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'"
        with closing(connect(self._directory)) as database:
            folders = database.execute(query, (str(collection.id),)).fetchall()
        found = (self._directory / folder for (folder,) in folders)
        return sorted(file for folder in found if folder.is_dir() for file in folder.iterdir())


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
        # Of so many, it would take long to find the few that are not lost.
        doubtful = unreached if len(unreached) <= _PAGE else ()
        lost = unreached - {record_id for record_id, _ in _vectors(collection, sorted(doubtful))}
        there = [record_id for record_id in ids if record_id not in lost]
        pages = batches(there, _DOCUMENTS)
        if not all(_as_they_should_be(collection, page, copies) for page in pages):
            return broken
        if not _are_found(collection, _spread(there, _SAMPLE)):
            return broken
    except ChromaError:
        return broken
    return Damage(frozenset(lost))


def _as_they_should_be(collection: Collection, ids: Sequence[str], copies: VectorCopies) -> bool:
    found: Any = collection.get(ids=list(ids), include=["documents", "embeddings"])
    vectors = dict(zip(found["ids"], found["embeddings"], strict=True))
    if not np.isfinite(found["embeddings"]).all():
        return False
    kept = copies.get(str(collection.id), dict(zip(found["ids"], found["documents"], strict=True)))
    return all(_same(vectors[key], vector) for key, vector in kept.items())


def _are_found(collection: Collection, ids: Sequence[str]) -> bool:
    """Whether the graph leads to almost all of these; to a few it never does."""
    if (collection.configuration_json.get("hnsw") or {}).get("space") == "ip":
        # By the inner product, a longer vector may be nearer than the vector itself.
        return True
    vectors: Any = [vector for _, vector in _vectors(collection, ids)]
    found: Any = collection.query(query_embeddings=vectors, n_results=1, include=["embeddings"])
    nearest = (near[0] if len(near) else np.zeros_like(vectors[0]) for near in found["embeddings"])
    missed = sum(not _same(*pair) for pair in zip(vectors, nearest, strict=True))
    return missed <= len(ids) // 10


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
    """Examine a collection and print what was found, as JSON."""
    import chromadb

    client = chromadb.PersistentClient(directory)
    collection = client.get_collection(name, embedding_function=None)
    damage = examine(collection, VectorCopies(Path(home)))
    print(json.dumps({"lost": sorted(damage.lost), "broken": damage.broken}))


if __name__ == "__main__":
    main(*sys.argv[1:])
