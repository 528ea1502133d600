"""The longer position table: some rows are the model's own, the others are trained.

Tuning on pi starts from the interpolated table, whose rows 0, s, 2s, ... are the original ones and
stay as anchors; tuning on rp starts from copies, behind the original rows (LongEmbed, section 4.2
and figure 4). Original rows are kept apart from the trained ones, so that no optimizer, weight
decay or rounding can reach them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from longembed_st.errors import ConfigError
from longembed_st.positions.method import Context


@dataclass(frozen=True)
class Layout:
    """Where the original rows stand in the longer table.

    Attributes:
        original: The original window in tokens.
        extended: The extended window in tokens.
        stride: Rows from one original position to the next: the scaling factor (pi), or 1 (rp).
        first_position: Rows before the first position, which belong to no token.
    """

    original: int
    extended: int
    stride: int
    first_position: int = 0

    @classmethod
    def of(cls, method: str, context: Context, first_position: int) -> Layout:
        """Lay out the table of a method.

        Raises:
            ConfigError: If nothing is added, or if the last original position would lie behind the
                end of the table.
        """
        extended = context.extended
        if extended is None or extended <= context.original:
            raise ConfigError(
                f"max_seq_length={extended} adds no position to the original window of "
                f"{context.original} tokens: choose a larger one"
            )
        stride = context.scaling_factor if method == "pi" else 1
        if (context.original - 1) * stride >= extended:
            raise ConfigError(
                f"max_seq_length={extended} leaves no room for the {context.original} original "
                f"positions at distance {stride}: use {context.original * stride}"
            )
        return cls(context.original, extended, stride, first_position)

    @property
    def context(self) -> Context:
        """The two windows."""
        return Context(self.original, self.extended)

    def original_rows(self) -> Tensor:
        """Return a mask of the model's own rows, shape (first position + extended window,)."""
        marks = torch.zeros(self.first_position + self.extended, dtype=torch.bool)
        marks[: self.first_position] = True
        marks[self.first_position + self.stride * torch.arange(self.original)] = True
        return marks


class TunableTable(nn.Module):
    """A position table of which some rows are trained.

    Args:
        table: The table to start from; it stays as it is.
        frozen: Shape (rows,), bool: the rows that never change.

    Attributes:
        anchors: The frozen rows, shape (frozen rows, width); a buffer.
        added: The other rows, shape (other rows, width); the only parameter.
    """

    anchors: Tensor
    place: Tensor

    def __init__(self, table: nn.Embedding, frozen: Tensor) -> None:
        super().__init__()
        rows = table.weight.detach()
        frozen = frozen.to(rows.device)
        self.padding_idx = table.padding_idx
        self.added = nn.Parameter(rows[~frozen].clone())
        self.register_buffer("anchors", rows[frozen].clone())
        # The place of each row of the table in the anchors followed by the added rows.
        order = torch.cat([frozen.nonzero(), (~frozen).nonzero()]).squeeze(1)
        self.register_buffer("place", order.argsort())

    def forward(self, ids: Tensor) -> Tensor:
        """Look up rows.

        Args:
            ids: Any shape, int64.

        Returns:
            The shape of `ids` with a last dimension of `width`.
        """
        return F.embedding(self.place[ids], torch.cat([self.anchors, self.added]))

    def as_embedding(self) -> nn.Embedding:
        """Return a copy of the whole table as it is now, shape (rows, width)."""
        rows = torch.cat([self.anchors, self.added]).detach()[self.place]
        return nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=self.padding_idx)
