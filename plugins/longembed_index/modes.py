"""How a search ranks documents: by vectors, by words, or by both; a store can have its own way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from longembed_index.errors import StoreError
from longembed_st.base.fields import one_line
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError
from longembed_st.files import write_text

Mode = Literal["hybrid", "dense", "lexical"]
"""By words and vectors, by vectors alone, by words alone."""
MODES = get_args(Mode)

CANDIDATES = 50
"""Documents that a reranker reads unless a search says otherwise."""

WEIGHT = 0.4
"""Of the vectors in a hybrid search; chosen on QMSum and SummScreen (docs/HYBRID.md)."""


class Ranking(BaseModel):
    """How documents are ranked unless a search says otherwise.

    Attributes:
        mode: One of `MODES`.
        weight: Of the vectors in a hybrid search, from 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "hybrid"
    weight: float = Field(default=WEIGHT, ge=0, le=1)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Ranking:
        """A ranking from plain data.

        Args:
            given: As far as it is not the default.

        Raises:
            ConfigError: If there is no such setting, or it is out of range.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            raise ConfigError(one_line(error)) from None

    def but(self, mode: str | None, weight: float | None) -> Ranking:
        """The same with another mode or weight.

        Args:
            mode: None for this one.
            weight: Likewise.

        Raises:
            ConfigError: If there is no such mode, or the weight is out of range.
        """
        if mode is not None and mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if weight is not None and not 0 <= weight <= 1:
            raise ConfigError(
                f"weight must be between 0, words alone, and 1, vectors, not {weight}"
            )
        changed = {"mode": mode, "weight": weight}
        return self.model_copy(update={k: v for k, v in changed.items() if v is not None})


def read_ranking(directory: Path, collection: str) -> Ranking:
    """How a store is searched: as it was told, or by the defaults.

    Args:
        directory: The store's folder.
        collection: The collection in it.

    Raises:
        StoreError: If what it was told cannot be read.
    """
    path = _path(directory, collection)
    try:
        return Ranking.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Ranking()
    except (OSError, ValidationError):
        raise StoreError(
            f"cannot read {escaped(path)}. Delete it for the default ranking"
        ) from None


def write_ranking(directory: Path, collection: str, ranking: Ranking) -> None:
    """Tell a store how it is searched unless a search says otherwise.

    Args:
        directory: The store's folder.
        collection: The collection in it.
        ranking: The way.
    """
    write_text(_path(directory, collection), ranking.model_dump_json() + "\n")


def _path(directory: Path, collection: str) -> Path:
    return directory / f"longembed.search.{quote(collection, safe='')}.json"
