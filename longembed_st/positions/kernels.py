"""SelfExtend attention for whole texts, exact and with memory linear in the length.

SelfExtend (Jin et al., 2024; bidirectional form: Zhu et al., 2024, section 4.3)
lets a rotary model read texts longer than it was trained on. With group size
`G`, neighbour window `w` and shift `s = w - w // G`, a query at `i` sees
a key at `j` at the relative position (query minus key)::

    i - j               if |i - j| < w      the band
    i//G - j//G + s     if i - j >= w       left of the band
    i//G - j//G - s     if j - i >= w       right of it, bidirectional models only

Each of the three regions is ordinary rotary attention at positions of its own,
so each is handed to a fused attention call that returns its log-sum-exp, and the
three partial softmaxes are then joined. The regions beyond the band have the
shape of a causal mask: row `i - w` of the queries from `w` on sees keys `0`
to `i - w`. The right region has that shape once the text is read backwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from longembed_st.compat import fused_attention_on_cpu
from longembed_st.errors import ModelError

_BAND_ROWS = 64
_HEADS_PER_THREAD = 2
_PORTABLE_ROWS, _PORTABLE_KEYS = 512, 1024


class Rotation(NamedTuple):
    """A rotation of every token to one position, channel `c` with channel `c + d / 2`.

    Attributes:
        cos: Shape `(n, d / 2)`, of the dtype of queries and keys.
        sin: Shape `(n, d / 2)`.
    """

    cos: Tensor
    sin: Tensor


class SelfExtendRotations(NamedTuple):
    """Rotations at which plain attention gives each region of SelfExtend.

    Attributes:
        exact: Of queries and keys inside the band.
        left: Of queries whose keys lie left of it.
        right: Of queries whose keys lie right of it.
        grouped: Of keys beyond the band, on either side.
    """

    exact: Rotation
    left: Rotation
    right: Rotation
    grouped: Rotation

    def to(self, dtype: torch.dtype) -> SelfExtendRotations:
        """Convert the rotations to another precision."""
        return SelfExtendRotations(
            *(Rotation(rotation.cos.to(dtype), rotation.sin.to(dtype)) for rotation in self)
        )


def self_extend_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rotations: SelfExtendRotations,
    *,
    neighbor_window: int,
    causal: bool,
    scaling: float,
) -> Tensor:
    """Attend over texts of `n` tokens at SelfExtend's relative positions.

    For inference only: no gradient is defined. Padding is not supported either;
    every text in the call has exactly `n` tokens.

    Args:
        query: Unrotated queries, shape `(B, H, n, D)`.
        key: Unrotated keys, shape `(B, Hkv, n, D)`, `H` a multiple of `Hkv`.
        value: Values, shape `(B, Hkv, n, Dv)`.
        rotations: Rotations to the positions of `self_extend_positions`.
        neighbor_window: `w`, the distance from which positions are grouped.
        causal: Whether a query sees only keys up to its own position.
        scaling: Factor on the scores before the softmax.

    Returns:
        The attention output, shape `(B, H, n, Dv)`.

    Raises:
        ModelError: If a gradient is needed.
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value)):
        raise ModelError("SelfExtend defines no gradient; train the model unextended")
    batch, heads, length, _ = query.shape
    group = heads // key.shape[1]
    out = query.new_empty(batch, heads, length, value.shape[-1])
    for text, kv_heads in _head_chunks(batch, key.shape[1], group):
        q_heads = slice(kv_heads.start * group, kv_heads.stop * group)
        out[text, q_heads] = _attend_heads(
            query[text, q_heads],
            key[text, kv_heads],
            value[text, kv_heads],
            rotations,
            window=neighbor_window,
            causal=causal,
            scaling=scaling,
        )
    return out


def self_extend_positions(
    length: int, group_size: int, window: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute positions at which plain rotary attention gives each region of SelfExtend.

    Args:
        length: `n`, in tokens.
        group_size: `G`, how many neighbouring tokens share a position outside the band.
        window: `w`, the distance from which positions are grouped.

    Returns:
        Four `(n,)` tensors, in the order of `SelfExtendRotations`; positions may be negative.
    """
    exact = torch.arange(length)
    grouped = exact // group_size
    shift = window - window // group_size
    return exact, grouped + shift, grouped - shift, grouped


def _head_chunks(batch: int, kv_heads: int, group: int) -> Iterator[tuple[int, slice]]:
    """Yield texts and slices of key heads: enough query heads to occupy every thread.

    Working memory grows with the chunk, and temporaries that fit the allocator's
    pools are much cheaper than fresh pages.
    """
    step = max(1, -(-_HEADS_PER_THREAD * torch.get_num_threads() // group))
    for text in range(batch):
        for start in range(0, kv_heads, step):
            yield text, slice(start, min(start + step, kv_heads))


def _attend_heads(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rotations: SelfExtendRotations,
    *,
    window: int,
    causal: bool,
    scaling: float,
) -> Tensor:
    """SelfExtend attention of some heads of one text.

    Queries are `(h * g, n, D)`, keys `(h, n, D)`, values `(h, n, Dv)`; the output is
    `(h * g, n, Dv)`, in float32 or wider.
    """
    kv_heads, length, _ = key.shape
    group = query.shape[0] // kv_heads

    def queries_at(rotation: Rotation) -> Tensor:
        return _rotated(query, rotation).view(kv_heads, group, length, -1)

    def keys_at(rotation: Rotation) -> Tensor:
        return _rotated(key, rotation)[:, None]

    values = value[:, None]
    out, lse = _band(
        queries_at(rotations.exact), keys_at(rotations.exact), values, window, causal, scaling
    )
    if length > window:
        keys = keys_at(rotations.grouped)
        part = _beyond(queries_at(rotations.left), keys, values, window, scaling)
        _merge_(out[:, :, window:], lse[:, :, window:], *part)
        if not causal:
            part = _beyond_right(queries_at(rotations.right), keys, values, window, scaling)
            _merge_(out[:, :, :-window], lse[:, :, :-window], *part)
    return out.flatten(0, 1)


def _rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate `x` of shape `(h, n, D)`; channels past `d` stay as they are."""
    half = rotation.cos.shape[-1]
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    first, second = x[..., :half], x[..., half : 2 * half]
    # Written in place: a temporary of this size costs more than the arithmetic.
    torch.mul(first, rotation.cos, out=out[..., :half]).addcmul_(second, rotation.sin, value=-1)
    torch.mul(second, rotation.cos, out=out[..., half : 2 * half]).addcmul_(first, rotation.sin)
    out[..., 2 * half :] = x[..., 2 * half :]
    return out


def _band(
    query: Tensor, key: Tensor, value: Tensor, window: int, causal: bool, scaling: float
) -> tuple[Tensor, Tensor]:
    """Attend where `|i - j| < w`, in blocks of rows that share one small mask."""
    length = query.shape[2]
    if length <= window:
        out, lse = _attend(query, key, value, scaling, causal=causal)
        return _widen(out), lse
    rows = _BAND_ROWS
    mask = _band_mask(rows, window, causal, query)
    span = mask.shape[1]
    out = _widen(query.new_empty(*query.shape[:3], value.shape[-1]))
    lse = out.new_empty(query.shape[:3])
    # Blocks whose keys all exist, the bulk of a long text, go through the kernel in one call.
    start = -(-(window - 1) // rows) * rows
    origin = start - window + 1
    blocks = max(0, (length - origin - span) // rows + 1)
    stop = start + blocks * rows
    if blocks:
        keys, values = (x[:, 0, origin:].unfold(1, span, rows)[:, :blocks].mT for x in (key, value))
        for head in range(query.shape[1]):
            queries = query[:, head, start:stop].unflatten(1, (blocks, rows))
            part, part_lse = _attend(queries, keys, values, scaling, mask=mask)
            out[:, head, start:stop] = part.flatten(1, 2)
            lse[:, head, start:stop] = part_lse.flatten(1, 2)
    for first_row in (*range(0, start, rows), *range(stop, length, rows)):
        block = slice(first_row, min(first_row + rows, length))
        origin = first_row - window + 1
        near = slice(max(0, origin), min(length, origin + span))
        seen = mask[: block.stop - first_row, near.start - origin : near.stop - origin]
        out[:, :, block], lse[:, :, block] = _attend(
            query[:, :, block], key[:, :, near], value[:, :, near], scaling, mask=seen
        )
    return out, lse


def _band_mask(rows: int, window: int, causal: bool, like: Tensor) -> Tensor:
    """Additive mask of a block of rows against its keys, the first `w - 1` before it."""
    ahead = 0 if causal else window - 1
    offset = torch.arange(1 - window, rows + ahead, device=like.device)
    offset = offset - torch.arange(rows, device=like.device)[:, None]
    outside = (offset <= -window) | (offset > ahead)
    return like.new_zeros(outside.shape).masked_fill_(outside, float("-inf"))


def _beyond(
    query: Tensor, key: Tensor, value: Tensor, window: int, scaling: float
) -> tuple[Tensor, Tensor]:
    """Attend where `i - j >= w`; the result belongs to the rows from `w` on."""
    return _attend(
        query[:, :, window:], key[:, :, :-window], value[:, :, :-window], scaling, causal=True
    )


def _beyond_right(
    query: Tensor, key: Tensor, value: Tensor, window: int, scaling: float
) -> tuple[Tensor, Tensor]:
    """Attend where `j - i >= w`; the result belongs to the rows before `n - w`."""
    out, lse = _beyond(query.flip(2), key.flip(2), value.flip(2), window, scaling)
    return out.flip(2), lse.flip(2)


def _merge_(out: Tensor, lse: Tensor, part_out: Tensor, part_lse: Tensor) -> None:
    """Join a softmax over further keys into `out` and `lse`, in place."""
    total = torch.logaddexp(lse, part_lse)
    out.mul_((lse - total).exp_()[..., None])
    out.addcmul_(part_out.to(out.dtype), (part_lse - total).exp_()[..., None])
    lse.copy_(total)


def _widen(x: Tensor) -> Tensor:
    """`x` in float32 if it is narrower."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Softmax attention that also returns its log-sum-exp.

    Every row must see at least one key.

    Args:
        query: Shape `(h, g, m, D)`.
        key: Shape `(h, 1, k, D)`, shared by the `g` query heads.
        value: Shape `(h, 1, k, Dv)`.
        scaling: Factor on the scores.
        causal: Whether row `r` sees only keys up to `r`.
        mask: Additive mask, shape `(m, k)`.

    Returns:
        The output `(h, g, m, Dv)` and the log-sum-exp `(h, g, m)`.
    """
    if query.device.type == "cpu" and key.shape[-1] == value.shape[-1]:
        # The fused call wants equal head counts; an expanded head costs no memory.
        heads = query.shape[1]
        keys, values = (x.expand(-1, heads, -1, -1) for x in (key, value))
        return fused_attention_on_cpu(query, keys, values, scaling, causal, mask)
    return attend_portably(query, key, value, scaling, causal=causal, mask=mask)


def attend_portably(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float,
    *,
    causal: bool = False,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`_attend` in public torch operations, for any device and any head widths."""
    length = query.shape[2]
    out = _widen(query.new_empty(*query.shape[:3], value.shape[-1]))
    lse = out.new_empty(query.shape[:3])
    for start in range(0, length, _PORTABLE_ROWS):
        rows = slice(start, min(start + _PORTABLE_ROWS, length))
        keys = min(key.shape[2], rows.stop) if causal else key.shape[2]
        for first in range(0, keys, _PORTABLE_KEYS):
            cols = slice(first, min(first + _PORTABLE_KEYS, keys))
            # Scaled before the product, which could overflow half precision otherwise.
            scores = _widen((query[:, :, rows] * scaling) @ key[:, :, cols].mT)
            if mask is not None:
                scores += mask[rows, cols]
            if causal:
                hidden = _indices(cols, scores) > _indices(rows, scores)[:, None]
                scores.masked_fill_(hidden, float("-inf"))
            # A row that sees none of these keys needs a finite log-sum-exp to merge.
            part_lse = scores.clamp_min_(torch.finfo(scores.dtype).min).logsumexp(-1)
            weights = (scores - part_lse[..., None]).exp_()
            part = _widen(weights.to(value.dtype) @ value[:, :, cols])
            if first == 0:
                out[:, :, rows], lse[:, :, rows] = part, part_lse
            else:
                _merge_(out[:, :, rows], lse[:, :, rows], part, part_lse)
    return out, lse


def _indices(span: slice, like: Tensor) -> Tensor:
    return torch.arange(span.start, span.stop, device=like.device)


def banded_attention(
    query: Tensor, key: Tensor, value: Tensor, *, sliding_window: int, causal: bool, scaling: float
) -> Tensor:
    """Attend where `|i - j| < w`, without a mask of the whole text.

    Args:
        query: Shape `(B, H, n, D)`, rotated.
        key: Shape `(B, Hkv, n, D)`, rotated, `H` a multiple of `Hkv`.
        value: Shape `(B, Hkv, n, Dv)`.
        sliding_window: `w`.
        causal: Whether a query sees only keys up to its own position.
        scaling: Factor on the scores before the softmax.

    Returns:
        The attention output, shape `(B, H, n, Dv)`.
    """
    batch, heads, length, width = query.shape
    kv_heads = key.shape[1]
    out, _ = _band(
        query.reshape(batch * kv_heads, heads // kv_heads, length, width),
        key.reshape(batch * kv_heads, 1, length, -1),
        value.reshape(batch * kv_heads, 1, length, -1),
        sliding_window,
        causal,
        scaling,
    )
    return out.reshape(batch, heads, length, -1).to(query.dtype)
