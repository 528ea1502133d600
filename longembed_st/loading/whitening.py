"""A whitening as a file, and built into a model; `longembed_tuning` fits it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from longembed_st.base.pooled import ends_in_map
from longembed_st.errors import ConfigError, InputError, ModelError
from longembed_st.files import write_atomically
from longembed_st.loading.extend import extended
from longembed_st.sentence_transformer.model import LongSentenceTransformer

FILE_NAME = "whitening.safetensors"
"""In the folder of a whitened model."""

FITTED_DOCUMENTS = 500
"""A whitening is fitted on so many by default, drawn at random: more change little."""

_FORMAT = {"format": "longembed-st whitening 1"}

Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class WhiteningMap:
    """A linear map to unit vectors.

    Attributes:
        matrix: Shape (dimensions, width).
    """

    matrix: Vectors

    def __call__(self, vectors: NDArray[np.floating]) -> Vectors:
        """Map vectors.

        Args:
            vectors: Shape (n, width); scaled to unit length first.

        Returns:
            Unit vectors, shape (n, dimensions).
        """
        return to_unit_length(to_unit_length(vectors) @ self.matrix.T)


@dataclass(frozen=True)
class Whitening:
    """A map of a model's vectors, and weights of its tokens.

    Attributes:
        map: Applied to the vectors; None to weigh tokens only.
        token_weights: Used in the mean of a pass, shape (vocabulary,); None for equal ones.
        notes: About the corpus, for people; without its texts.
    """

    map: WhiteningMap | None
    token_weights: NDArray[np.float32] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map vectors; without a map they stay as they are.

        Args:
            vectors: Of the model with these token weights, shape (n, width).

        Returns:
            Shape (n, dimensions).
        """
        mapped = vectors if self.map is None else self.map(vectors)
        return np.asarray(mapped, dtype=np.float32)

    @property
    def digest(self) -> str:
        """A hash of the numbers, in hexadecimal digits; the notes do not count."""
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            digest.update(name.encode() + array.tobytes())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all."""
        content = save(self._arrays(), metadata={**self.notes, **_FORMAT})
        write_atomically(path, lambda file: file.write(content))

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        matrix = None if self.map is None else self.map.matrix
        arrays = {"matrix": matrix, "token_weights": self.token_weights}
        # safetensors writes memory as it lies there, transposed or not.
        return {
            name: np.ascontiguousarray(array, dtype=np.float32)
            for name, array in arrays.items()
            if array is not None
        }

    @classmethod
    def read(cls, path: str) -> Whitening:
        """Read what `write` has written.

        Args:
            path: The file, or the folder of a whitened model.

        Raises:
            ConfigError: If the file does not exist.
            ModelError: If it is not a whitening, or damaged.
        """
        place = Path(path) / FILE_NAME if Path(path).is_dir() else Path(path)
        if not place.is_file():
            raise ConfigError(
                f"there is no whitening in {path}. If it was moved, name it where it is now; "
                "`longembed whiten` makes one"
            )
        try:
            with safe_open(place, framework="numpy") as file:
                notes = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{path} cannot be read as a whitening: {error}") from None
        is_known = _FORMAT.items() <= notes.items()
        if not is_known or not all(np.isfinite(array).all() for array in arrays.values()):
            raise ModelError(f"{path} is not a whitening that this version can read, or is damaged")
        matrix = arrays.get("matrix")
        fitted = None if matrix is None else WhiteningMap(matrix.astype(np.float64))
        return cls(fitted, arrays.get("token_weights"), notes)


def attach_whitening(
    model: LongSentenceTransformer, whitening: Whitening, name: str = "it"
) -> None:
    """Add a whitening to the end of a model, and its weights of tokens to the reader.

    Raises:
        ModelError: If it was fitted for another model, or this one is whitened already.
    """
    if is_whitened(model):
        raise ModelError(f"this model is whitened already: {name} cannot be added")
    if whitening.token_weights is not None:
        model.long_transformer.weigh_tokens(torch.from_numpy(whitening.token_weights))
    if whitening.map is None:
        return
    dimensions, width = whitening.map.matrix.shape
    model_width = model.get_embedding_dimension()
    if model_width != width or model.truncate_dim is not None:
        raise ModelError(
            f"{name} was fitted for vectors of {width} numbers, and those of this model have "
            f"{model_width}: name the model that it was fitted for, without truncate_dim"
        )
    dense = Dense(
        width,
        dimensions,
        bias=False,
        activation_function=nn.Identity(),
        init_weight=torch.tensor(whitening.map.matrix, dtype=torch.float32),
    )
    last = list(model.children())[-1]
    normalize_first = [] if isinstance(last, Normalize) else [Normalize()]
    for module in (*normalize_first, dense.to(model.device), Normalize()):
        model.append(module)


def with_whitening(model: LongSentenceTransformer, whitening: Whitening) -> LongSentenceTransformer:
    """Build a whitening into a copy of a model; the model itself stays as it is.

    Raises:
        ModelError: If it was fitted for another model, or this one is whitened already.
    """
    whitened = cast(LongSentenceTransformer, extended(model, model.long_transformer.extension))
    attach_whitening(whitened, whitening)
    return whitened


def is_whitened(model: LongSentenceTransformer) -> bool:
    """Whether a whitening is built into a model."""
    mapped = ends_in_map(list(model.children()))
    return mapped or model.long_transformer.token_weights is not None


def to_unit_length(vectors: NDArray[np.floating]) -> Vectors:
    """Scale vectors to unit length.

    Args:
        vectors: Shape (..., width).

    Raises:
        InputError: If one is zero or not finite.
    """
    x = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(x, axis=-1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise InputError("a vector is zero or not finite, and has no direction")
    return x / lengths
