"""gp, rp and pi from the formulas of LongEmbed (arXiv 2404.12096), section 4.2."""

from __future__ import annotations

import math

import torch
from reference.plain import PlainModel, logn_factor, position_table
from torch import Tensor


def gp_positions(n: int, factor: int) -> list[int]:
    """`f_gp(pid) = floor(pid / s)`."""
    return [math.floor(pid / factor) for pid in range(n)]


def rp_positions(n: int, window: int) -> list[int]:
    """`f_rp(pid) = pid mod L_o`."""
    return [pid % window for pid in range(n)]


def pi_table(original: Tensor, factor: int) -> Tensor:
    """The extended matrix E_t, row by row.

    `E_t[i * s] = E_o[i]`, and for j between i and i + 1,
    `E_t[s * j] = (i + 1 - j) E_t[i * s] + (j - i) E_t[(i + 1) * s]`. Behind the last anchor,
    `(L_o - 1) * s`, the paper names no neighbour on the right: the last vector is held.

    Args:
        original: E_o, shape (L_o, width).
        factor: s.

    Returns:
        E_t, shape (L_o * s, width).
    """
    window = len(original)
    rows = []
    for i in range(window):
        for step in range(factor):
            if i + 1 == window:
                rows.append(original[i])
                continue
            share = step / factor  # j - i
            rows.append((1 - share) * original[i] + share * original[i + 1])
    return torch.stack(rows)


def embed(
    plain: PlainModel,
    text: str,
    method: str,
    extended: int,
    *,
    prompt: str = "",
    dynamic: bool = False,
    logn: bool = False,
) -> Tensor:
    """The vector of one text by gp, rp or pi.

    Args:
        plain: The model.
        text: The text.
        method: "gp", "rp" or "pi".
        extended: L_t in tokens.
        prompt: Put before the text.
        dynamic: Take s from the text's length instead of from L_t.
        logn: Scale the attention logits.
    """
    ids = plain.token_ids(prompt + text)
    n = len(ids)
    assert n <= extended
    scale = logn_factor(n, plain.window) if logn else 1.0
    factor = math.ceil((n if dynamic else extended) / plain.window)
    if n <= plain.window:
        hidden = plain.hidden(ids, logit_scale=scale)
    elif method == "gp":
        hidden = plain.hidden(ids, positions=gp_positions(n, factor), logit_scale=scale)
    elif method == "rp":
        hidden = plain.hidden(ids, positions=rp_positions(n, plain.window), logit_scale=scale)
    elif method == "pi":
        _, table = position_table(plain.encoder)
        own = table.weight.detach()[plain.offset : plain.offset + plain.window]
        hidden = plain.hidden(ids, table=pi_table(own, factor), logit_scale=scale)
    else:
        raise AssertionError(method)
    return plain.finish(plain.pool(hidden, plain.left_out(prompt)))
