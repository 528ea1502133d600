"""Methods that change the positions of the tokens of a long text.

All follow LongEmbed (Zhu et al., 2024), section 4.2. Texts that fit the original window keep their
original positions.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from longembed_st.errors import ConfigError, ModelError
from longembed_st.positions.method import Capability, Context, Method

Factor = Literal["static", "dynamic"]


class _Positions(Method):
    needs: ClassVar[frozenset[Capability]] = frozenset({"position_ids"})

    def check(self, context: Context) -> None:
        """Require an extended window: positions cannot be spread over an unknown length."""
        if context.extended is None:
            raise ConfigError(f"method {self.name!r} needs a max_seq_length")

    def position_ids(self, n: int, context: Context) -> Tensor | None:
        """Return the method's own positions."""
        return self.long_position_ids(torch.arange(n), context)

    def baked_positions(self, context: Context) -> Tensor:
        """Return the positions of a text that fills the extended window."""
        assert context.extended is not None
        return self.long_position_ids(torch.arange(context.extended), context)

    @abstractmethod
    def long_position_ids(self, ids: Tensor, context: Context) -> Tensor:
        """Map 0..n-1 to positions within 0..L_o-1.

        Args:
            ids: Shape (n,), int64, n > L_o.
            context: The original and the extended window.

        Returns:
            Shape (n,).
        """


class RecurrentPositions(_Positions):
    """Restart the positions every L_o tokens: `f(i) = i mod L_o`."""

    name: ClassVar[str] = "rp"
    summary: ClassVar[str] = "recurrent positions: i mod L_o"
    source: ClassVar[str] = "LongEmbed section 4.2, f_rp"

    def long_position_ids(self, ids: Tensor, context: Context) -> Tensor:
        """Return `i mod L_o`."""
        return ids % context.original


class _ScaledPositions(_Positions):
    """Positions that depend on a scaling factor s.

    Attributes:
        factor: "static" takes s from the extended window, `ceil(L_t / L_o)`; "dynamic" from the
            text's own n tokens, `ceil(n / L_o)`.
    """

    factor: Factor = "static"

    def _scaling_factor(self, n: int, context: Context) -> int:
        return context.scaling_factor if self.factor == "static" else context.factor_for(n)

    def baked_positions(self, context: Context) -> Tensor:
        """Return the static positions of a text that fills the extended window."""
        if self.factor == "dynamic":
            raise ModelError(
                "factor='dynamic' gives each length positions of its own, which one table cannot "
                "hold: bake with factor='static'"
            )
        return super().baked_positions(context)


class GroupedPositions(_ScaledPositions):
    """Let s neighbouring tokens share a position: `f(i) = floor(i / s)`."""

    name: ClassVar[str] = "gp"
    summary: ClassVar[str] = "grouped positions: floor(i / s)"
    source: ClassVar[str] = "LongEmbed section 4.2, f_gp"

    def long_position_ids(self, ids: Tensor, context: Context) -> Tensor:
        """Return `floor(i / s)`."""
        return ids // self._scaling_factor(len(ids), context)


class PositionInterpolation(_ScaledPositions):
    """Squeeze the positions linearly: `f(i) = i / s`.

    Learned vectors are interpolated between neighbours; rotary angles need no neighbours.
    """

    name: ClassVar[str] = "pi"
    summary: ClassVar[str] = "linear position interpolation: i / s"
    source: ClassVar[str] = "LongEmbed section 4.2, f_pi; Chen et al. 2023, arXiv 2306.15595"

    def baked_rope(
        self, rope_parameters: dict[str, Any], width: int, context: Context
    ) -> dict[str, Any]:
        """Return the `linear` type of transformers."""
        if self.factor == "dynamic":
            raise ModelError("factor='dynamic' cannot be baked: bake with factor='static'")
        return {
            **rope_parameters,
            "rope_type": "linear",
            "factor": float(context.scaling_factor),
        }

    def long_position_ids(self, ids: Tensor, context: Context) -> Tensor:
        """Return `i / s`, in float64 so that no position is rounded to another."""
        return ids.double() / self._scaling_factor(len(ids), context)


class ExtendedTable(_Positions):
    """Use a checkpoint whose own position table is already as long as the extended window.

    Tuning added position vectors makes such checkpoints. Rows at multiples of `stride` are
    the original ones: texts up to L_o tokens step through the table by `stride` and so keep their
    original vectors; longer texts use every row. Source: LongEmbed, appendix B, and the released
    checkpoint `dwzhu/e5-base-4k`, whose stride is 8.

    Attributes:
        stride: Rows from one original position to the next: s after tuning on pi, 1 after rp.
    """

    name: ClassVar[str] = "table"
    summary: ClassVar[str] = "the checkpoint's own longer, tuned position table"
    source: ClassVar[str] = "LongEmbed section 4.2 'Further Tuning' and appendix B"
    needs: ClassVar[frozenset[Capability]] = frozenset({"position_table"})
    tied_to_checkpoint: ClassVar[bool] = True

    stride: int = Field(ge=1)

    def check(self, context: Context) -> None:
        """Require that a text of L_o tokens stays within the table."""
        super().check(context)
        assert context.extended is not None
        if (context.original - 1) * self.stride >= context.extended:
            raise ConfigError(
                f"stride={self.stride} carries a text of {context.original} tokens past the "
                f"{context.extended} rows of the table"
            )

    def last_position(self, context: Context) -> int:
        """Return the last row of the table."""
        assert context.extended is not None
        return context.extended - 1

    def reads_originally(self, n: int, context: Context) -> bool:
        """Whether a text fits, and the original positions are the table's first rows."""
        return self.stride == 1 and n <= context.original

    def position_ids(self, n: int, context: Context) -> Tensor | None:
        """Return `stride * i` up to L_o tokens, `i` beyond."""
        ids = torch.arange(n)
        return ids * self.stride if n <= context.original else ids

    def long_position_ids(self, ids: Tensor, context: Context) -> Tensor:
        """Return every row in order."""
        return ids
