"""SelfExtend: exact relative positions nearby, grouped ones far away."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from typing_extensions import Self

from longembed_st.errors import ConfigError
from longembed_st.positions.method import (
    Capability,
    Context,
    Encoding,
    Grouping,
    Method,
    Recommendation,
)

LONGEST_AFFORDABLE = 32_768
"""Tokens. The paper's longest; beyond, one pass takes many times as long as its windows."""


class SelfExtend(Method):
    """Near a query, keys keep their relative positions; beyond, positions are grouped.

    For a query at i and a key at j, `i - j` while `|i - j| < w`; to the left beyond,
    `i // G - j // G + (w - w // G)`; to the right, in bidirectional models, its mirror image
    (LongEmbed, section 4.3; Jin et al., 2024).

    Attributes:
        group_size: G. Default `s + 1`, and
        neighbor_window: w, in tokens. Default `L_o / s`: for s = 2, 4, 8 the paper's own pairs (3,
            L_o / 2), (5, L_o / 4), (9, L_o / 8), and for any other s the pair on the same line,
            with which the farthest relative position is about L_o.
    """

    name: ClassVar[str] = "self_extend"
    summary: ClassVar[str] = "SelfExtend: exact positions nearby, grouped ones far away"
    source: ClassVar[str] = "LongEmbed section 4.3 and table 6; Jin et al. 2024, arXiv 2401.01325"
    needs: ClassVar[frozenset[Capability]] = frozenset({"relative_positions"})
    recommended_for: ClassVar[dict[Encoding, Recommendation]] = {
        "rotary": Recommendation(
            2, "it led the training-free methods of the paper's table 3 (docs/METHODS.md)"
        ),
    }

    @classmethod
    def is_affordable(cls, context: Context) -> bool:
        """Whether the window is within eight times L_o, as in the paper, and 32,768 tokens."""
        reach = context.extended
        return reach is not None and reach <= min(8 * context.original, LONGEST_AFFORDABLE)

    group_size: int | None = Field(default=None, ge=2)
    neighbor_window: int | None = Field(default=None, ge=1)

    def check(self, context: Context) -> None:
        """Refuse a pair that leads to positions the model never saw."""
        if context.extended is None:
            raise ConfigError("method 'self_extend' needs a max_seq_length")
        grouping = self._pair(context)
        size, window = grouping.group_size, grouping.neighbor_window
        if window > context.original:
            raise ConfigError(
                f"neighbor_window={window} is more than the original window of {context.original}"
            )
        farthest = (context.extended - 1) // size + window - window // size
        # The paper's own pairs reach one position past the last learned distance.
        if farthest > context.original:
            raise ConfigError(
                f"group_size={size} with neighbor_window={window} leads to relative positions up "
                f"to {farthest}, beyond the model's {context.original}: use a larger group_size or "
                f"a smaller neighbor_window; the defaults are {self._defaults(context)}"
            )

    def resolved(self, context: Context) -> Self:
        """Set G and w by the paper's line, unless they are given."""
        return self.model_copy(update=vars(self._pair(context)))

    def grouping(self, n: int, context: Context) -> Grouping | None:
        """Return G and w."""
        return self._pair(context)

    def _pair(self, context: Context) -> Grouping:
        size, window = self._defaults(context)
        return Grouping(self.group_size or size, self.neighbor_window or window)

    @staticmethod
    def _defaults(context: Context) -> tuple[int, int]:
        scale = max(context.scaling_factor, 2)
        return scale + 1, max(context.original // scale, 1)
