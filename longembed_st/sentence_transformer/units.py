"""Vectors of the units of a text, made in the same reading as the vector of the whole.

A unit's vector is the mean of its token states, which know what stands around them: late chunking
(Günther et al. 2024, arXiv 2409.04701). With the number of its tokens, any run of units has the
vector that pooling the tokens of the run would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.base.coverage import Coverage, Overflow
from longembed_st.base.reductions import mean_by_text
from longembed_st.base.tokens import TokenizedText
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_st.base.passes import Pass
    from longembed_st.sentence_transformer.transformer import LongTransformer

Pool = Callable[[dict[str, Any]], Tensor]


@dataclass(frozen=True)
class UnitVectors:
    """A text as vectors of its units, and of the whole.

    Attributes:
        ranges: Half-open ranges of characters as they were given, shape (units, 2).
        vectors: The mean of each unit's token states behind the model's linear modules: not
            normalised, not whitened. Zeros for a unit without tokens. Shape (units, width).
        counts: The token states in each mean, shape (units,). A token that two windows read counts
            twice, as in the document's vector.
        document: The vector of the text as `encode` gives it, shape (dimensions,).
        coverage: What the document's vector was computed from.
    """

    ranges: NDArray[np.int64]
    vectors: NDArray[np.float32]
    counts: NDArray[np.int64]
    document: NDArray[np.float32]
    coverage: Coverage


@dataclass(frozen=True)
class PooledText:
    """What was read of a text, before the modules behind the pooling.

    Attributes:
        document: Shape (width,).
        units: The mean of each unit's token states, shape (units, width).
        counts: The token states in each mean, shape (units,).
        windows: Of each pass that the document's vector was computed from, shape (windows, width).
            A pass beyond the original window is shared out into parts of its length.
        ranges: Half-open ranges of characters, one a window. They cover the text, or what was read
            of it, without a gap; windows that overlap overlap here, too.
        coverage: What the document's vector was computed from.
    """

    document: Tensor
    units: Tensor
    counts: Tensor
    windows: Tensor
    ranges: list[tuple[int, int]]
    coverage: Coverage


@dataclass(frozen=True)
class _Part:
    """What of a text is read together: all of it, or as much as the window holds.

    Attributes:
        text: Index of the text.
        first: First content token that is read.
        last: Content token after the last.
        owned: First content token that counts in units; those before are context.
        is_document: Whether the document's vector is computed from it.
    """

    text: int
    first: int
    last: int
    owned: int
    is_document: bool


@torch.inference_mode()
def read_units(
    reader: LongTransformer,
    texts: Sequence[str],
    ranges: Sequence[ArrayLike],
    prompt: str | None,
    *,
    pool: Pool | None = None,
    beyond_window: bool = True,
) -> list[PooledText]:
    """Read texts once, and pool each unit and each whole text.

    Args:
        reader: The module that reads.
        texts: Valid strings.
        ranges: Of each text the half-open ranges of characters of its units, in order, not
            overlapping, shape (units, 2). A token belongs to the unit in which its last character
            is, or the one before it.
        prompt: Put before each text, or None; no unit has its tokens.
        pool: Used for documents and windows instead of the reader's own.
        beyond_window: Whether further passes read the units that lie beyond the window.

    Returns:
        One a text, in order.

    Raises:
        ConfigError: If the tokenizer keeps no offsets.
        InputError: For the same reasons as `preprocess` of the reader.
    """
    pool = pool or reader.pool
    tokenized = _tokenize(reader, texts, prompt)
    parts = [
        part
        for number, text in enumerate(tokenized)
        for part in _parts(reader, number, text, beyond_window)
    ]
    contents = [tokenized[part.text].window(part.first, part.last) for part in parts]
    features = batch_to_device(reader.features_of(contents, prompt), reader.token_table.device)
    passes = reader.passes_of(features)
    sums = _Sums(tokenized, ranges, reader.get_embedding_dimension(), reader.token_table.device)
    documents: dict[int, Tensor] = {}
    windows: dict[int, tuple[Tensor, list[tuple[int, int]]]] = {}
    for indices, outputs in reader.read_batches(passes, features):
        pooled = pool(outputs)
        items = [(parts[passes[index].text], passes[index]) for index in indices]
        sums.add(outputs["token_embeddings"], items)
        for row, (index, (part, item)) in enumerate(zip(indices, items, strict=True)):
            if part.is_document:
                documents[index] = pooled[row]
                edges = _shared_out(reader, item)
                vectors = pooled[row : row + 1]
                if len(edges) > 1:
                    vectors = _pool_slices(pool, outputs, row, item, edges)
                shifted = [(part.first + first, part.first + last) for first, last in edges]
                windows[index] = vectors, shifted
    results = []
    for number, (text, tokens) in enumerate(zip(texts, tokenized, strict=True)):
        own = [i for i in sorted(documents) if parts[passes[i].text].text == number]
        vectors = torch.stack([documents[index] for index in own])
        token_ranges = [edge for index in own for edge in windows[index][1]]
        results.append(
            PooledText(
                mean_by_text(vectors, [0] * len(own), 1)[0],
                *sums.means_of(number),
                torch.cat([windows[index][0] for index in own]),
                _characters(token_ranges, tokens, text),
                reader.coverage_of(tokens),
            )
        )
    return results


class _Sums:
    """Sums of token states by unit, over any number of batches."""

    def __init__(
        self,
        texts: Sequence[TokenizedText],
        ranges: Sequence[ArrayLike],
        width: int,
        device: torch.device,
    ) -> None:
        edges = [np.asarray(each, dtype=np.int64).reshape(-1, 2) for each in ranges]
        self._first = np.cumsum([0, *map(len, edges)])
        self._units = [
            _unit_of_each(text, each) + first
            for text, each, first in zip(texts, edges, self._first, strict=False)
        ]
        # The last row is for tokens that belong to no unit.
        rows = int(self._first[-1]) + 1
        self._sums = torch.zeros(rows, width, device=device)
        self._counts = torch.zeros(rows, dtype=torch.int64, device=device)

    def add(self, states: Tensor, items: Sequence[tuple[_Part, Pass]]) -> None:
        """Add the token states of some passes, shape (passes, n, width)."""
        units = np.full(states.shape[:2], len(self._sums) - 1)
        for row, (part, item) in enumerate(items):
            of_text = self._units[part.text]
            first, last = part.first + item.first, part.first + item.last
            start = max(first, part.owned)
            if len(of_text) and start < last:
                begin = item.header + start - first
                units[row, begin : begin + last - start] = of_text[start:last]
        # Sums of runs first: adding row by row takes five times as long.
        flat = torch.from_numpy(units.reshape(-1)).to(states.device)
        owners, lengths = torch.unique_consecutive(flat, return_counts=True)
        rows = states.reshape(-1, states.shape[-1]).float()
        runs = torch.segment_reduce(rows, "sum", lengths=lengths, axis=0)
        self._sums.index_add_(0, owners, runs)
        self._counts.index_add_(0, owners, lengths)

    def means_of(self, text: int) -> tuple[Tensor, Tensor]:
        """Return the means of a text's units, and the number of states in each."""
        own = slice(int(self._first[text]), int(self._first[text + 1]))
        counts = self._counts[own]
        return self._sums[own] / counts.clamp(min=1)[:, None], counts


def _unit_of_each(tokens: TokenizedText, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the unit of each content token; none at all if there are no units."""
    if not len(ranges):
        return np.empty(0, dtype=np.int64)
    ends = tokens.content_ends()
    # Where a tokenizer says nothing of a token, it belongs to what stands before it.
    last_characters = np.maximum.accumulate(np.maximum(ends - 1, 0))
    units = np.searchsorted(ranges[:, 0], last_characters, side="right") - 1
    return np.maximum(units, 0)


def _tokenize(
    reader: LongTransformer, texts: Sequence[str], prompt: str | None
) -> list[TokenizedText]:
    """Texts with the characters of their tokens."""
    tokenized = reader.tokenize_texts(texts, prompt, offsets=True)
    if any(text.offsets is None for text in tokenized):
        raise ConfigError(
            "this model's tokenizer does not tell which characters a token is made of, so that "
            "there are no units. A fast tokenizer does (tokenizer.json)"
        )
    reader.check_lengths(texts, tokenized, Overflow())
    return tokenized


def _parts(
    reader: LongTransformer, number: int, tokens: TokenizedText, beyond_window: bool
) -> Iterator[_Part]:
    """Return the document's own part, and overlapping ones for what the window does not hold."""
    limit = reader.max_seq_length
    room = tokens.content if limit is None else limit - tokens.header - tokens.footer
    if tokens.content <= room:
        yield _Part(number, 0, tokens.content, 0, True)
        return
    rest = tokens.content - room
    first = rest if reader.keeps_end else 0
    yield _Part(number, first, first + room, first, True)
    if not beyond_window:
        return
    begin, end = (0, rest) if reader.keeps_end else (room, tokens.content)
    context = min(reader.extension.context.original // 2, room // 2)
    while begin < end:
        before = min(context, begin)
        last = min(begin - before + room, end)
        yield _Part(number, begin - before, last, begin, False)
        begin = last


def _shared_out(reader: LongTransformer, item: Pass) -> list[tuple[int, int]]:
    """Return the windows of a pass, as ranges of content tokens: one, unless it is a long one."""
    original = reader.extension.context.original
    length = item.last - item.first
    count = max(1, -(-length // original))
    edges = [item.first + round(length * place / count) for place in range(count + 1)]
    return list(pairwise(edges))


def _pool_slices(
    pool: Pool, outputs: dict[str, Any], row: int, item: Pass, edges: Sequence[tuple[int, int]]
) -> Tensor:
    """Return the vectors of parts of a pass, without its special tokens, shape (parts, width)."""
    vectors = []
    for first, last in edges:
        part = slice(item.header + first - item.first, item.header + last - item.first)
        ids = outputs["input_ids"][row : row + 1, part]
        states = outputs["token_embeddings"][row : row + 1, part]
        mask = torch.ones_like(ids)
        vectors.append(pool({"input_ids": ids, "token_embeddings": states, "attention_mask": mask}))
    return torch.cat(vectors)


def _characters(
    ranges: Sequence[tuple[int, int]], tokens: TokenizedText, text: str
) -> list[tuple[int, int]]:
    """Return the characters of ranges of tokens; a gap between two belongs to the first."""

    def begin(token: int) -> int:
        if token == 0:
            return 0
        characters = tokens.characters(token, token + 1) if token < tokens.content else None
        return len(text) if characters is None else characters[0]

    edges = []
    for place, (first, last) in enumerate(ranges):
        following = ranges[place + 1][0] if place + 1 < len(ranges) else last
        start = begin(first)
        edges.append((start, max(start, begin(max(following, last)) if last else len(text))))
    return edges
