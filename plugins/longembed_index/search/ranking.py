"""How a search ranks documents: by words and vectors, by vectors alone, or by words alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from longembed_st.base.fields import one_line
from longembed_st.errors import ConfigError

Mode = Literal["hybrid", "dense", "lexical"]
"""By words and vectors, by vectors alone, by words alone."""
MODES = get_args(Mode)

CANDIDATES = 50
"""Documents that a reranker reads unless a search says otherwise."""

WEIGHT = 0.2
"""Of the vectors in a hybrid search; chosen on QMSum, SummScreen and reports (docs/HYBRID.md)."""


class Ranking(BaseModel):
    """How documents are ranked.

    Attributes:
        mode: One of `MODES`.
        weight: The weight of the vectors in a hybrid search, from 0 to 1; the words have the rest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "hybrid"
    weight: float = Field(default=WEIGHT, ge=0, le=1)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Ranking:
        """Return the ranking that plain data describes, with defaults for what is missing.

        Args:
            values: Mode and weight, for instance from a settings file.

        Raises:
            ConfigError: If a setting does not exist or is out of range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(one_line(error)) from None

    def with_overrides(self, mode: str | None = None, weight: float | None = None) -> Ranking:
        """Return this ranking with another mode or weight.

        Args:
            mode: The other mode; None to keep this one's.
            weight: The other weight; None to keep this one's.

        Raises:
            ConfigError: If the mode does not exist, or the weight is out of range.
        """
        if mode is not None and mode not in MODES:
            raise ConfigError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if weight is not None and not 0 <= weight <= 1:
            raise ConfigError(
                f"weight must be between 0, words alone, and 1, vectors alone, not {weight}"
            )
        overrides = {"mode": mode, "weight": weight}
        return self.model_copy(update={k: v for k, v in overrides.items() if v is not None})
