"""Vectors of parts of a text, made in the same reading as the vector of the whole.

The windows of a method that reads in windows are its spans. Of a text that is read in one pass, a
span is a range of its tokens, pooled out of that pass, so that it knows what stands around it: late
chunking (Günther et al. 2024, arXiv 2409.04701).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import sentencex  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from sentence_transformers.util import batch_to_device
from torch import Tensor

from longembed_st.base.coverage import Coverage, Overflow
from longembed_st.base.reductions import mean_by_text
from longembed_st.base.tokens import TokenizedText
from longembed_st.errors import ConfigError
from longembed_st.sentence_transformer.token_states import token_states

if TYPE_CHECKING:
    from longembed_st.base.passes import Pass
    from longembed_st.sentence_transformer.transformer import LongTransformer

NEAR = 0.25
"""Of a span's length: so far its end is moved to that of a sentence or line."""

SHORTEST = 8
"""Tokens of a span. Below, it is hardly a phrase."""

_POOLED = ("input_ids", "token_embeddings")

Pool = Callable[[dict[str, Any]], Tensor]


@dataclass(frozen=True)
class SpanVectors:
    """A text as vectors of its parts, and of the whole.

    Attributes:
        vectors: One a span, shape (spans, width).
        spans: Half-open ranges of characters of the text as given, one a vector, in order. They
            cover the text without a gap; windows that overlap overlap here, too.
        document: The vector of the text as `encode` gives it, shape (width,).
        coverage: What the document's vector was computed from.
    """

    vectors: NDArray[np.float32]
    spans: list[tuple[int, int]]
    document: NDArray[np.float32]
    coverage: Coverage

    def __len__(self) -> int:
        return len(self.spans)


@dataclass(frozen=True)
class PooledSpans:
    """The same before the modules behind the pooling.

    Attributes:
        vectors: Shape (spans, width).
        document: Shape (width,).
        spans: See `SpanVectors`.
        coverage: See `SpanVectors`.
    """

    vectors: Tensor
    document: Tensor
    spans: list[tuple[int, int]]
    coverage: Coverage


@dataclass(frozen=True)
class _Part:
    """What of a text is read together: all of it, or as much as the window holds.

    Attributes:
        text: Index of the text.
        first: First content token that is read.
        last: Content token after the last.
        owned: First content token that spans are made of; those before are context.
        is_document: Whether the document's vector is computed from it.
    """

    text: int
    first: int
    last: int
    owned: int
    is_document: bool


@torch.inference_mode()
def read_spans(
    reader: LongTransformer,
    texts: Sequence[str],
    prompt: str | None,
    *,
    span_tokens: int | None = None,
    pool: Pool | None = None,
    beyond_window: bool = True,
) -> list[PooledSpans]:
    """Read texts once, and pool each span and each whole text.

    Args:
        reader: The module that reads.
        texts: Valid strings.
        prompt: Put before each text, or None; no span has it among its characters.
        span_tokens: Most tokens of a span; None for the windows of the method, and for ranges of
            the original window's length where it reads in one pass.
        pool: Used instead of the reader's own.
        beyond_window: Whether further passes read the spans that lie beyond the window.

    Returns:
        One a text, in order.

    Raises:
        ConfigError: If `span_tokens` is out of range, or the tokenizer keeps no offsets.
        InputError: As `preprocess` of the reader.
    """
    refuse_short(span_tokens)
    pool = pool or reader.pool
    tokenized = _tokenize(reader, texts, prompt)
    parts = [
        part
        for number, text in enumerate(tokenized)
        for part in _parts(reader, number, text, beyond_window)
    ]
    windows = [tokenized[part.text].window(part.first, part.last) for part in parts]
    features = batch_to_device(reader.features_of(windows, prompt), reader.token_table.device)
    passes = reader.passes_of(features)
    results: dict[int, _PassResult] = {}
    for indices, outputs in reader.read_batches(passes, features):
        pooled = pool(outputs)
        for row, index in enumerate(indices):
            item = passes[index]
            part = parts[item.text]
            text = texts[part.text]
            ranges = _ranges(reader, part, item, span_tokens, tokenized[part.text], text)
            if not ranges:
                vectors = pooled[:0]
            elif ranges == [(part.first + item.first, part.first + item.last)]:
                vectors = pooled[row : row + 1]
            else:
                # Without its special tokens.
                shift = item.header - part.first - item.first
                ids, tokens = (outputs[name][row] for name in _POOLED)
                slices = [slice(a + shift, b + shift) for a, b in ranges]
                vectors = torch.cat([_pool_run(pool, ids[run], tokens[run]) for run in slices])
            results[index] = _PassResult(pooled[row] if part.is_document else None, ranges, vectors)
    of_texts: list[list[_PassResult]] = [[] for _ in texts]
    for index, item in enumerate(passes):
        of_texts[parts[item.text].text].append(results[index])
    return [
        _joined(passes_of_text, text, tokens, reader.coverage_of(tokens))
        for passes_of_text, text, tokens in zip(of_texts, texts, tokenized, strict=True)
    ]


def refuse_short(span_tokens: int | None) -> None:
    """Raise `ConfigError` for spans that are hardly a phrase.

    Args:
        span_tokens: Most tokens of a span; None for the windows of the method.
    """
    if span_tokens is not None and span_tokens < SHORTEST:
        raise ConfigError(f"span_tokens must be at least {SHORTEST}, not {span_tokens}")


@torch.inference_mode()
def read_ranges(
    reader: LongTransformer, text: str, ranges: Sequence[tuple[int, int]], prompt: str | None
) -> Tensor:
    """Read a text once, and pool the tokens that begin in each of some ranges.

    What the window does not hold is read in further passes, as by `read_spans`.

    Args:
        reader: The module that reads.
        text: A valid string.
        ranges: Half-open ranges of its characters; of one in which no token begins, the next token
            stands for it, or the last one.
        prompt: Put before the text, or None.

    Returns:
        Shape (ranges, width).

    Raises:
        ConfigError: If the tokenizer keeps no offsets.
        InputError: As `preprocess` of the reader.
    """
    (tokens,) = _tokenize(reader, [text], prompt)
    pieces: dict[int, Tensor] = {}
    for part in _parts(reader, 0, tokens, beyond_window=True):
        window = tokens.window(part.first, part.last)
        states = token_states(reader, reader.features_of([window], prompt))
        content = states[tokens.header : len(states) - tokens.footer]
        pieces[part.owned] = content[part.owned - part.first :] if tokens.content else states
    states = torch.cat([pieces[first] for first in sorted(pieces)])
    ids = torch.tensor(np.asarray(tokens.ids), device=states.device)
    if tokens.content:
        ids = ids[tokens.header : len(ids) - tokens.footer]
    begins = [_begin(tokens, token) for token in range(tokens.content)]
    vectors = []
    for start, end in ranges:
        # A text of special tokens alone has no other vector than that of all of them.
        run = slice(None)
        if begins:
            first = min(bisect_left(begins, start), len(begins) - 1)
            run = slice(first, max(bisect_left(begins, end), first + 1))
        vectors.append(_pool_run(reader.pool, ids[run], states[run]))
    return torch.cat(vectors)


def _tokenize(
    reader: LongTransformer, texts: Sequence[str], prompt: str | None
) -> list[TokenizedText]:
    """Texts with the characters of their tokens."""
    tokenized = reader.tokenize_texts(texts, prompt, offsets=True)
    if any(text.offsets is None for text in tokenized):
        raise ConfigError(
            "this model's tokenizer does not tell which characters a token is made of, so that "
            "there are no spans. A fast tokenizer does (tokenizer.json)"
        )
    reader.check_lengths(texts, tokenized, Overflow())
    return tokenized


@dataclass(frozen=True)
class _PassResult:
    """The spans of a pass, and its vector if it is part of the document's vector."""

    document: Tensor | None
    ranges: list[tuple[int, int]]
    vectors: Tensor


def _joined(
    passes: Sequence[_PassResult], text: str, tokens: TokenizedText, coverage: Coverage
) -> PooledSpans:
    """The passes of a text as its spans, in order, and its vector."""
    all_ranges = [range_ for item in passes for range_ in item.ranges]
    vectors = torch.cat([item.vectors for item in passes])
    documents = torch.stack([item.document for item in passes if item.document is not None])
    order = sorted(range(len(all_ranges)), key=lambda place: all_ranges[place])
    return PooledSpans(
        vectors[torch.tensor(order, device=vectors.device)],
        mean_by_text(documents, [0] * len(documents), 1)[0],
        _characters([all_ranges[place] for place in order], tokens, text),
        coverage,
    )


def _parts(
    reader: LongTransformer, number: int, tokens: TokenizedText, beyond_window: bool
) -> Iterator[_Part]:
    """The document's own part, and overlapping ones for what the window does not hold."""
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


def _ranges(
    reader: LongTransformer,
    part: _Part,
    item: Pass,
    span_tokens: int | None,
    tokens: TokenizedText,
    text: str,
) -> list[tuple[int, int]]:
    """The spans of a pass, as ranges of the text's content tokens."""
    if tokens.content == 0:
        # Special tokens alone: they stand for all of the text.
        return [(0, 0)]
    start = max(part.first + item.first, part.owned)
    end = part.first + item.last
    length = span_tokens
    if length is None:
        # A window is a span, special tokens and all; a longer pass is shared out.
        original = reader.extension.context.original
        if len(item.tokens) <= original:
            return [(start, end)] if start < end else []
        length = original
    if end - start <= length:
        return [(start, end)] if start < end else []
    count = -(-(end - start) // length)
    edges = [start + round((end - start) * n / count) for n in range(count + 1)]
    reach = int(NEAR * (end - start) / count)
    inner = [_sentence_end(edge, reach, tokens, text) for edge in edges[1:-1]]
    edges = [start, *inner, end]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def _sentence_end(token: int, reach: int, tokens: TokenizedText, text: str) -> int:
    """The nearest token that begins a sentence or line; the token itself if none is near."""
    if reach < 1:
        return token
    low, high = _begin(tokens, token - reach), _begin(tokens, token + reach)
    here = _begin(tokens, token)
    near = text[low:high]
    boundaries = sentencex.get_sentence_boundaries("en", near)
    ends = [low + boundary["end_index"] for boundary in boundaries]
    ends += [low + place + 1 for place, character in enumerate(near) if character == "\n"]
    inside = [end for end in ends if low < end < high]
    if not inside:
        return token
    nearest = min(inside, key=lambda end: (abs(end - here), end))
    places = range(token - reach, token + reach + 1)
    return places[bisect_left(places, nearest, key=lambda place: _begin(tokens, place))]


def _begin(tokens: TokenizedText, token: int) -> int:
    """The character that a content token begins with."""
    token = min(max(token, 0), tokens.content - 1)
    characters = tokens.characters(token, token + 1)
    assert characters is not None
    return characters[0]


def _characters(
    ranges: Sequence[tuple[int, int]], tokens: TokenizedText, text: str
) -> list[tuple[int, int]]:
    """The characters of ranges of tokens; what lies between two belongs to the first of them."""
    characters = []
    for place, (first, last) in enumerate(ranges):
        following = ranges[place + 1][0] if place + 1 < len(ranges) else None
        start = 0 if first == 0 else _begin(tokens, first)
        if last >= tokens.content:
            end = len(text)
        elif following is not None and following >= last:
            end = _begin(tokens, following)
        else:
            end = _begin(tokens, last)
        characters.append((start, max(start, end)))
    return characters


def _pool_run(pool: Pool, ids: Tensor, tokens: Tensor) -> Tensor:
    """The vector of a run of tokens, shape (1, width)."""
    mask = torch.ones_like(ids)[None]
    return pool({"input_ids": ids[None], "token_embeddings": tokens[None], "attention_mask": mask})
