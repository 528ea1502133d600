"""Vectors on disk, so that a run that was cut off does not compute one twice."""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longembed_st.base.coverage import Encoded
from longembed_st.base.long_model import LongModel, Role
from longembed_st.files import write_atomically
from longembed_st.multi_vector_encoder.model import LongMultiVectorEncoder
from longembed_st.sentence_transformer.model import LongSentenceTransformer

GROUP_CHARACTERS = 200_000
"""Texts are embedded and written in groups of about this size: what a killed run can lose."""

GROUP_TEXTS = 256
"""The most texts in a group."""

OnTexts = Callable[[int], None]
"""Called with the number of texts that were done."""


@dataclass(frozen=True)
class CachedVectors:
    """The vectors of some texts, and what they cost.

    Attributes:
        vectors: Shape (texts, width).
        tokens: Tokens of each text, its prompt and special tokens counted.
        read: How many of them its vector is computed from.
        seconds: The time that each took, its share of its group's by tokens read.
    """

    vectors: NDArray[np.float32]
    tokens: NDArray[np.int64]
    read: NDArray[np.int64]
    seconds: NDArray[np.float64]


class VectorCache:
    """The vectors that one model has computed so far, in a folder of .npz files.

    Args:
        folder: A folder for this model's fingerprint alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[NDArray[np.float32], int, int, float]] = {}
        for path in sorted(folder.glob("*.npz")):
            self._take(path)

    def embed(
        self,
        model: LongSentenceTransformer,
        texts: Sequence[str],
        role: Role,
        on_texts: OnTexts = lambda count: None,
    ) -> CachedVectors:
        """The vectors of texts: those on disk, and the rest from the model.

        Args:
            model: The model of the fingerprint that the folder is for.
            texts: The texts.
            role: "query" or "document": which prompt of the model.
            on_texts: Called as texts are done.
        """
        keys = [_key(role, text) for text in texts]
        missing = {k: text for k, text in zip(keys, texts, strict=True) if k not in self._known}
        on_texts(len(texts) - len(missing))
        for group in _groups(missing):
            self._compute(model, group, role)
            on_texts(len(group))
        vectors, tokens, read, seconds = zip(*(self._known[key] for key in keys), strict=True)
        return CachedVectors(np.stack(vectors), np.array(tokens), np.array(read), np.array(seconds))

    def put(
        self, texts: Sequence[str], role: Role, encoded: Encoded, seconds: NDArray[np.float64]
    ) -> None:
        """Keep vectors that were computed elsewhere.

        Args:
            texts: The texts.
            role: "query" or "document".
            encoded: Their vectors, by the model of the folder.
            seconds: The time that each took.
        """
        self._write([_key(role, text) for text in texts], encoded, seconds)

    def _compute(self, model: LongSentenceTransformer, group: dict[str, str], role: Role) -> None:
        begin = time.perf_counter()
        encoded = model.encode_with_coverage(list(group.values()), role=role)
        seconds = time.perf_counter() - begin
        read = np.array([coverage.read for coverage in encoded.coverages])
        self._write(list(group), encoded, seconds * read / read.sum())

    def _write(self, keys: list[str], encoded: Encoded, seconds: NDArray[np.float64]) -> None:
        path = self._folder / f"{_key(*keys)[:32]}.npz"
        arrays: dict[str, Any] = {
            "keys": np.array(keys),
            "vectors": encoded.vectors,
            "tokens": np.array([coverage.tokens for coverage in encoded.coverages]),
            "read": np.array([coverage.read for coverage in encoded.coverages]),
            "seconds": seconds,
        }
        write_atomically(path, lambda file: np.savez(file, **arrays))
        self._take(path)

    def _take(self, path: Path) -> None:
        try:
            with np.load(path) as file:
                columns = [file[name] for name in ("vectors", "tokens", "read", "seconds")]
                keys = file["keys"].tolist()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            # A damaged file is no more than vectors that have to be computed again.
            path.unlink(missing_ok=True)
            return
        for key, vector, tokens, read, seconds in zip(keys, *columns, strict=True):
            self._known[key] = (vector, int(tokens), int(read), float(seconds))


class DocumentCache:
    """Several vectors of each document that one model has computed so far, a file a document.

    Args:
        folder: A folder for this model, and what its vectors stand for, alone.
        kind: What they stand for; part of the files' names.
        compute: From a model and a text to its vectors, shape (vectors, width).
    """

    def __init__(
        self, folder: Path, kind: str, compute: Callable[[Any, str], NDArray[np.float32]]
    ) -> None:
        self._folder, self._kind, self._compute = folder, kind, compute

    def read(self, model: LongModel, text: str) -> tuple[NDArray[np.float32], float]:
        """The vectors of a document, and the time that they took.

        Args:
            model: The model that the folder is for.
            text: The document.
        """
        path = self._folder / f"{_key(self._kind, text)[:32]}.npz"
        if path.exists():
            try:
                with np.load(path) as file:
                    return file["vectors"], float(file["seconds"])
            except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
        begin = time.perf_counter()
        vectors = self._compute(model, text)
        seconds = time.perf_counter() - begin
        write_atomically(
            path, lambda file: np.savez(file, vectors=vectors, seconds=np.array(seconds))
        )
        return vectors, seconds


@dataclass(frozen=True)
class VectorFolder:
    """The vectors of several models, and the whitenings fitted on what they read.

    Attributes:
        path: The folder; made if needed.
    """

    path: Path

    def of(self, fingerprint: str) -> VectorCache:
        """The vectors of one model.

        Args:
            fingerprint: "sha256:..." as `longembed_st.fingerprint` gives it.
        """
        return VectorCache(self.path / fingerprint.removeprefix("sha256:")[:16])

    def spans(self, fingerprint: str, tokens: int | None) -> DocumentCache:
        """The spans of one model.

        Args:
            fingerprint: As for `of`.
            tokens: The most of a span; None for the windows of the method.
        """
        name = f"{fingerprint.removeprefix('sha256:')[:16]}-spans-{tokens or 'windows'}"

        def compute(model: LongSentenceTransformer, text: str) -> NDArray[np.float32]:
            (found,) = model.encode_spans([text], span_tokens=tokens)
            return found.vectors

        return DocumentCache(self.path / name, "spans", compute)

    def tokens(self, fingerprint: str, pool: int) -> DocumentCache:
        """The token vectors of one model.

        Args:
            fingerprint: As for `of`.
            pool: Vectors of a window that are averaged to one; 1 for none.
        """
        name = f"{fingerprint.removeprefix('sha256:')[:16]}-tokens-{pool}"

        def compute(model: LongMultiVectorEncoder, text: str) -> NDArray[np.float32]:
            vectors: NDArray[np.float32] = model.encode_document(text).float().cpu().numpy()
            return vectors

        return DocumentCache(self.path / name, "tokens", compute)

    def whitening(self, key: str) -> Path:
        """Where a whitening is kept.

        Args:
            key: Hexadecimal digits that stand for the model, the options and the documents.
        """
        return self.path / f"whitening-{key[:32]}.safetensors"


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf8", "surrogatepass")).hexdigest()


def _groups(texts: dict[str, str]) -> Iterator[dict[str, str]]:
    """Split into runs of about `GROUP_CHARACTERS`, in the order given."""
    group: dict[str, str] = {}
    size = 0
    for key, text in texts.items():
        group[key] = text
        size += len(text)
        if size >= GROUP_CHARACTERS or len(group) == GROUP_TEXTS:
            yield group
            group, size = {}, 0
    if group:
        yield group
