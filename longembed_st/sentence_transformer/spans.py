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
    from longembed_st.base.reader import Pass
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
    """Read texts once, and pool each span beside each whole text.

    Args:
        reader: The module that reads.
        texts: Valid strings.
        prompt: Put before each text, or None; no span has it among its characters.
        span_tokens: Most tokens of a span; None for the windows of the method, and for ranges of
            the original window's length where it reads in one pass.
        pool: In the place of the reader's own.
        beyond_window: Whether what the window does not hold is read for spans, too, in further
            passes.

    Returns:
        One a text, in order.

    Raises:
        ConfigError: If `span_tokens` is out of range, or the tokenizer keeps no offsets.
        InputError: As `preprocess` of the reader.
    """
    refuse_short(span_tokens)
    pool = pool or reader.pool
    tokenized = reader.tokenize_texts(texts, prompt, offsets=True)
    if any(text.offsets is None for text in tokenized):
        raise ConfigError(
            "this model's tokenizer does not tell which characters a token is made of, so that "
            "there are no spans. A fast tokenizer does (tokenizer.json)"
        )
    reader.check_lengths(texts, tokenized, Overflow())
    parts = [
        part
        for number, text in enumerate(tokenized)
        for part in _parts(reader, number, text, beyond_window)
    ]
    read = [tokenized[part.text].window(part.first, part.last) for part in parts]
    features = batch_to_device(reader.features_of(read, prompt), reader.token_table.device)
    found = [_Found() for _ in texts]
    passes = reader.passes_of(features)
    made: dict[int, tuple[Tensor, list[tuple[int, int]], Tensor]] = {}
    for chosen, outputs in reader.read_batches(passes, features):
        whole = pool(outputs)
        for row, index in enumerate(chosen):
            one = passes[index]
            part = parts[one.text]
            ranges = _ranges(reader, part, one, span_tokens, tokenized[part.text], texts[part.text])
            if not ranges:
                vectors = whole[:0]
            elif ranges == [(part.first + one.first, part.first + one.last)]:
                vectors = whole[row : row + 1]
            else:
                # Without its special tokens.
                shift = one.header - part.first - one.first
                ids, tokens = (outputs[name][row : row + 1] for name in _POOLED)
                inside = [slice(a + shift, b + shift) for a, b in ranges]
                runs = [_pooled(pool, ids[:, run], tokens[:, run]) for run in inside]
                vectors = torch.cat(runs)
            made[index] = (whole[row], ranges, vectors)
    for index, one in enumerate(passes):
        part = parts[one.text]
        whole_pass, ranges, vectors = made[index]
        target = found[part.text]
        if part.is_document:
            target.passes.append(whole_pass)
        target.ranges += ranges
        target.vectors.append(vectors)
    return [
        target.finished(text, tokens, reader.coverage_of(tokens))
        for target, text, tokens in zip(found, texts, tokenized, strict=True)
    ]


def refuse_short(span_tokens: int | None) -> None:
    """Raise `ConfigError` for spans that are hardly a phrase.

    Args:
        span_tokens: Most tokens of a span; None for the windows of the method.
    """
    if span_tokens is not None and span_tokens < SHORTEST:
        raise ConfigError(f"span_tokens must be at least {SHORTEST}, not {span_tokens}")


def read_ranges(
    reader: LongTransformer, text: str, ranges: Sequence[tuple[int, int]], prompt: str | None
) -> Tensor:
    """Read a text once, and pool the tokens that begin in each of some ranges.

    Args:
        reader: The module that reads.
        text: A valid string.
        ranges: Half-open ranges of its characters; of one in which no token begins, the next token
            stands for it.
        prompt: Put before the text, or None.

    Returns:
        Shape (ranges, width).

    Raises:
        InputError: As `preprocess` of the reader.
    """
    (tokens,) = reader.tokenize_texts([text], prompt, offsets=True)
    states = token_states(reader, text, prompt, Overflow())
    ids = torch.tensor(np.asarray(tokens.ids), device=states.device)
    begins = [_begin(tokens, token) for token in range(len(states) - tokens.header - tokens.footer)]
    vectors = []
    for start, end in ranges:
        first = min(bisect_left(begins, start), len(begins) - 1)
        last = max(bisect_left(begins, end), first + 1)
        inside = slice(tokens.header + first, tokens.header + last)
        vectors.append(_pooled(reader.pool, ids[None, inside], states[None, inside]))
    return torch.cat(vectors)


class _Found:
    """What the passes of a text have given so far."""

    def __init__(self) -> None:
        self.passes: list[Tensor] = []
        self.ranges: list[tuple[int, int]] = []
        self.vectors: list[Tensor] = []

    def finished(self, text: str, tokens: TokenizedText, coverage: Coverage) -> PooledSpans:
        vectors = torch.cat(self.vectors)
        order = sorted(range(len(self.ranges)), key=lambda place: self.ranges[place])
        ranges = [self.ranges[place] for place in order]
        return PooledSpans(
            vectors[torch.tensor(order, device=vectors.device)],
            mean_by_text(torch.stack(self.passes), [0] * len(self.passes), 1)[0],
            _characters(ranges, tokens, text),
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
    one: Pass,
    span_tokens: int | None,
    tokens: TokenizedText,
    text: str,
) -> list[tuple[int, int]]:
    """The spans of a pass, as ranges of the text's content tokens."""
    if tokens.content == 0:
        # Special tokens alone: they stand for all of the text.
        return [(0, 0)]
    start = max(part.first + one.first, part.owned)
    end = part.first + one.last
    length = span_tokens
    if length is None:
        # A window is a span, special tokens and all; a longer pass is shared out.
        original = reader.extension.context.original
        if len(one.tokens) <= original:
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
    """The token nearest to another with which a sentence or line begins; itself if none is near."""
    if reach < 1:
        return token
    low, high = _begin(tokens, token - reach), _begin(tokens, token + reach)
    here = _begin(tokens, token)
    near = text[low:high]
    ends = [low + one["end_index"] for one in sentencex.get_sentence_boundaries("en", near)]
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
    found = []
    for place, (first, last) in enumerate(ranges):
        following = ranges[place + 1][0] if place + 1 < len(ranges) else None
        start = 0 if first == 0 else _begin(tokens, first)
        if last >= tokens.content:
            end = len(text)
        elif following is not None and following >= last:
            end = _begin(tokens, following)
        else:
            end = _begin(tokens, last)
        found.append((start, max(start, end)))
    return found


def _pooled(pool: Pool, ids: Tensor, tokens: Tensor) -> Tensor:
    """The vector of a run of tokens, shape (1, width)."""
    mask = torch.ones_like(ids)
    return pool({"input_ids": ids, "token_embeddings": tokens, "attention_mask": mask})
