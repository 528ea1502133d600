"""Vectors in a file, so that a run that was cut off does not compute one twice."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longembed_st.base.coverage import Coverage
from longembed_st.errors import InputError

GROUP_CHARACTERS = 200_000
"""Texts are embedded and written in groups of about this size: what a killed run can lose."""

GROUP_TEXTS = 256
"""The most texts in a group."""

Vectors = NDArray[np.float32]
Compute = Callable[[list[str]], Iterable[tuple[Vectors, Coverage]]]
"""From texts to the vectors of each, shape (vectors, width), and what was read of it."""

OnText = Callable[[], None]
"""Called after each text."""


@dataclass(frozen=True)
class TextVectors:
    """The vectors of one text, and what they cost.

    Attributes:
        vectors: Shape (vectors, width).
        tokens: Tokens of the text, its prompt and special tokens counted.
        read: How many of them were read.
        seconds: The text's share of the time of its group, by tokens read.
    """

    vectors: Vectors
    tokens: int
    read: int
    seconds: float


class VectorFile:
    """The vectors that models have computed so far, in one SQLite file.

    Raises:
        InputError: If it is not such a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=60)
        try:
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, width INTEGER,"
                    " numbers BLOB, tokens INTEGER, read INTEGER, seconds REAL)"
                )
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path} cannot be used ({error}): delete it") from None

    def read(
        self, kind: str, texts: Sequence[str], compute: Compute, on_text: OnText = lambda: None
    ) -> list[TextVectors]:
        """Return the vectors of texts: those in the file, and the rest from the model.

        Args:
            kind: What vectors they are: everything that changes them but the text.
            texts: The texts.
            compute: Computes the vectors that are missing.
            on_text: Called as texts are done.
        """
        missing = [text for text in dict.fromkeys(texts) if self._row(kind, text) is None]
        for _ in range(len(texts) - len(missing)):
            on_text()
        for group in _groups(missing):
            begin = time.perf_counter()
            computed = list(compute(group))
            per_token = (time.perf_counter() - begin) / sum(c.read for _, c in computed)
            for text, (vectors, coverage) in zip(group, computed, strict=True):
                self._insert(kind, text, vectors, coverage, per_token * coverage.read)
            self._database.commit()
            for _ in group:
                on_text()
        return [self._vectors(kind, text) for text in texts]

    def write(
        self, kind: str, text: str, vectors: Vectors, coverage: Coverage, seconds: float
    ) -> None:
        """Keep the vectors of a text that were computed elsewhere, in `seconds`."""
        with self._database:
            self._insert(kind, text, vectors, coverage, seconds)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _insert(
        self, kind: str, text: str, vectors: Vectors, coverage: Coverage, seconds: float
    ) -> None:
        numbers = np.ascontiguousarray(vectors, dtype=np.float32)
        self._database.execute(
            "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(_key(kind, text), numbers.shape[1], numbers.tobytes()),
                *(int(coverage.tokens), int(coverage.read), float(seconds)),
            ),
        )

    def _row(self, kind: str, text: str) -> object:
        query = "SELECT 1 FROM vectors WHERE key = ?"
        return self._database.execute(query, (_key(kind, text),)).fetchone()

    def _vectors(self, kind: str, text: str) -> TextVectors:
        query = "SELECT width, numbers, tokens, read, seconds FROM vectors WHERE key = ?"
        width, numbers, *cost = self._database.execute(query, (_key(kind, text),)).fetchone()
        return TextVectors(np.frombuffer(numbers, np.float32).reshape(-1, width).copy(), *cost)


def digest(*parts: str) -> str:
    """Return a hash of some texts together, 64 hexadecimal digits."""
    return _key(*parts).hex()


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf8", "surrogatepass")).digest()


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Split into runs of about `GROUP_CHARACTERS`, in the order given."""
    group: list[str] = []
    for text in texts:
        group.append(text)
        if sum(map(len, group)) >= GROUP_CHARACTERS or len(group) == GROUP_TEXTS:
            yield group
            group = []
    if group:
        yield group
