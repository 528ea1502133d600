"""SelfExtend by its definition: three full score matrices and a choice among them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def relative_positions(length: int, group_size: int, window: int) -> Tensor:
    """Key minus query, shape `(n, n)`, entry by entry from the formula."""
    table = torch.empty(length, length, dtype=torch.long)
    shift = window - window // group_size
    for i in range(length):
        for j in range(length):
            if abs(i - j) < window:
                table[i, j] = j - i
            elif j < i:
                table[i, j] = -(i // group_size - j // group_size + shift)
            else:
                table[i, j] = -(i // group_size - j // group_size - shift)
    return table


def dense_self_extend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rotate: Callable[[Tensor, Tensor], Tensor],
    *,
    group_size: int,
    neighbor_window: int,
    causal: bool,
    scaling: float,
) -> Tensor:
    """SelfExtend attention with memory quadratic in `n`; the reference for tests."""
    length = query.shape[2]
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    i = torch.arange(length)
    shift = neighbor_window - neighbor_window // group_size

    def scores(query_positions: Tensor, key_positions: Tensor) -> Tensor:
        return rotate(query, query_positions) @ rotate(key, key_positions).mT * scaling

    distance = i[:, None] - i[None, :]
    near = scores(i, i)
    left = scores(i // group_size + shift, i // group_size)
    right = scores(i // group_size - shift, i // group_size)
    chosen = torch.where(distance >= neighbor_window, left, near)
    chosen = torch.where(distance <= -neighbor_window, right, chosen)
    if causal:
        chosen = chosen.masked_fill(distance < 0, float("-inf"))
    return chosen.softmax(-1) @ value
