"""From texts to tokens: all of them counted, nothing cut unseen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from transformers import BatchEncoding, PreTrainedTokenizerBase

from longembed_st.base.pieces import OVERLAP, PIECE, Tokens, in_pieces
from longembed_st.errors import InputError

PARTS = HEADER, CONTENT, FOOTER = 0, 1, 2
"""The part of a text that a token belongs to; windows repeat the outer two."""

PROBES = ("a", "1", ".", "\u4e00")
"""Texts of which a tokenizer knows at least one."""

CHARACTERS_A_TOKEN = 8
"""Estimate for texts of which only the beginning is needed; others take a further piece."""


class Offsets(Protocol):
    """Which characters each token was made of, as `tokenizers.Encoding` knows it."""

    def token_to_chars(self, token_index: int, /) -> tuple[int, int] | None:
        """Return the half-open range of characters of a token, or None of a special token."""


@dataclass(frozen=True)
class TokenizedText:
    """One text in the tokens of the model's own tokenizer.

    A text is a header (leading special tokens and the prompt), its content, and a footer (trailing
    special tokens). Windows repeat header and footer and share out the content.

    Attributes:
        ids: Token ids, header and footer included.
        type_ids: Token type ids, or None if the tokenizer makes none.
        header: Tokens of the header.
        footer: Tokens of the footer.
        prompt_characters: Characters of the prompt that stands before the text.
        offsets: The characters of each token, if requested; None from a slow tokenizer.
        dropped: Content tokens that were counted and not kept.
        dropped_header: Tokens of the header, which are those of a query, that were counted and not
            kept.
        complete: Whether all tokens were counted: False where it was enough to know that the text
            is too long.
    """

    ids: Sequence[int] | NDArray[np.int32]
    type_ids: Sequence[int] | NDArray[np.int32] | None
    header: int
    footer: int
    prompt_characters: int
    offsets: Offsets | None = None
    dropped: int = 0
    dropped_header: int = 0
    complete: bool = True

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counted(self) -> int:
        """Tokens of the text, kept or not, header and footer included."""
        return len(self.ids) + self.dropped + self.dropped_header

    @property
    def content(self) -> int:
        """Tokens between header and footer."""
        return len(self.ids) - self.header - self.footer

    @property
    def parts(self) -> NDArray[np.int8]:
        """The part that each token belongs to."""
        return np.repeat(np.array(PARTS, np.int8), [self.header, self.content, self.footer])

    def shortened(self, limit: int, keep_end: bool) -> TokenizedText:
        """Drop the content tokens that exceed a limit: the last ones, or with `keep_end` the first.

        Raises:
            InputError: If header and footer alone exceed the limit.
        """
        excess = len(self) - limit
        if excess <= 0:
            return self
        if excess > self.content:
            raise InputError(
                f"prompt and special tokens alone take {self.header + self.footer} tokens, more "
                f"than the window of {limit}; use a shorter prompt"
            )
        first = self.header if keep_end else len(self) - self.footer - excess
        return self.without(slice(first, first + excess), dropped=self.dropped + excess)

    def window(self, first: int, last: int) -> TokenizedText:
        """Cut a part out as a text of its own, with the same header and footer."""
        if (first, last) == (0, self.content):
            return self
        end = len(self) - self.footer
        return self.without(np.r_[self.header : self.header + first, self.header + last : end])

    def without(self, places: slice | NDArray[np.int64], **changes: Any) -> TokenizedText:
        """Leave tokens out, and the characters of all unless they are among the changes."""
        types = None if self.type_ids is None else np.delete(self.type_ids, places)
        changes = {"offsets": None, **changes}
        return replace(self, ids=np.delete(self.ids, places), type_ids=types, **changes)

    def content_ends(self) -> NDArray[np.int64]:
        """Return the character after the last of each content token, prompt not counted.

        Returns:
            Shape (content,); 0 for a token of which the tokenizer does not know it.

        Raises:
            ValueError: If the tokenizer keeps no offsets.
        """
        if self.offsets is None:
            raise ValueError("the tokenizer keeps no offsets")
        places = range(self.header, self.header + self.content)
        if isinstance(self.offsets, _Ranges):
            ends = self.offsets.ends(places)
        else:
            ranges = map(self.offsets.token_to_chars, places)
            ends = np.array([0 if item is None else item[1] for item in ranges], dtype=np.int64)
        return np.maximum(ends - self.prompt_characters, 0)

    def characters(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the characters of a range of content tokens, prompt not counted.

        Returns:
            Half-open (start, end) in characters, or None if the tokenizer keeps no offsets.
        """
        if self.offsets is None:
            return None
        if start >= end:
            return (0, 0)
        first = self.offsets.token_to_chars(self.header + start)
        last = self.offsets.token_to_chars(self.header + end - 1)
        if first is None or last is None:
            return None
        return (
            max(first[0] - self.prompt_characters, 0),
            max(last[1] - self.prompt_characters, 0),
        )


def checked_texts(inputs: Sequence[Any]) -> list[str]:
    """Check that each input is a string that can be tokenized, or a dict with nothing but a "text".

    Returns:
        The strings.

    Raises:
        InputError: Naming the first input that is not.
    """
    texts: list[str] = []
    for index, item in enumerate(inputs):
        text = item["text"] if isinstance(item, dict) and item.keys() == {"text"} else item
        if not isinstance(text, str):
            raise InputError(
                f"input {index} is a {type(text).__name__}, not a string; longembed-st embeds "
                "texts only, one string each"
            )
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"input {index} holds a lone surrogate (U+{ord(text[error.start]):04X}) at "
                f"character {error.start}, which is not valid text; replace it, for instance with "
                "text.encode('utf-8', 'replace').decode()"
            ) from None
        texts.append(str(text))
    return texts


@dataclass(frozen=True)
class TokenizeOptions:
    """Which tokens of a long text are kept.

    Attributes:
        max_tokens: Most tokens that are read, header and footer included; None for all.
        from_end: Whether these are the last ones.
        count: Whether the others must be counted.
        offsets: Whether to keep the characters of each token.
    """

    max_tokens: int | None = None
    from_end: bool = False
    count: bool = True
    offsets: bool = False

    @property
    def piece(self) -> int:
        """Characters to tokenize at once."""
        if self.max_tokens is None or self.count or self.from_end:
            return PIECE
        return min(PIECE, max(4 * OVERLAP, CHARACTERS_A_TOKEN * self.max_tokens))


def tokenize(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    prompt: str | None,
    options: TokenizeOptions | None = None,
) -> list[TokenizedText]:
    """Tokenize texts, long ones piece by piece.

    Args:
        tokenizer: The model's tokenizer.
        texts: Valid strings, without their prompt.
        prompt: Put before each text, or None.
        options: What to keep of long texts; everything by default. Short ones are kept whole.
    """
    prompt, options = prompt or "", options or TokenizeOptions()
    records: list[TokenizedText] = []
    batch: list[str] = []
    size = 0

    def flush() -> None:
        records.extend(_tokenized_whole(tokenizer, batch, prompt, options))
        batch.clear()

    for text in texts:
        if tokenizer.is_fast and len(text) > 2 * options.piece:
            flush()
            records.append(_tokenized_in_pieces(tokenizer, text, prompt, options))
            size = 0
            continue
        if batch and size + len(text) > 2 * PIECE:
            flush()
            size = 0
        batch.append(text)
        size += len(text)
    flush()
    return records


def _tokenized_whole(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompt: str, options: TokenizeOptions
) -> list[TokenizedText]:
    if not texts:
        return []
    batch: BatchEncoding = tokenizer(
        [prompt + text for text in texts],
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    leading, trailing = _special_tokens(tokenizer)
    type_ids = batch.get("token_type_ids")
    prompt_tokens = 0
    if prompt and not tokenizer.is_fast:
        prompt_tokens = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    records = []
    for index, ids in enumerate(batch["input_ids"]):
        offsets = batch[index] if tokenizer.is_fast else None
        if offsets is not None:
            prompt_tokens = _tokens_within(offsets, leading, len(ids) - trailing, len(prompt))
        records.append(
            TokenizedText(
                ids=ids,
                type_ids=type_ids[index] if type_ids is not None else None,
                header=leading + prompt_tokens,
                footer=trailing,
                prompt_characters=len(prompt),
                offsets=offsets if options.offsets else None,
            )
        )
    return records


def _tokenized_in_pieces(
    tokenizer: PreTrainedTokenizerBase, text: str, prompt: str, options: TokenizeOptions
) -> TokenizedText:
    text = prompt + text
    specials = leading, trailing = _special_tokens(tokenizer)
    # The prompt lies in the first piece as a whole.
    runs = in_pieces(tokenizer, text, specials, size=options.piece + len(prompt))
    first = next(runs)
    prompt_tokens = _tokens_within(_Ranges(first, 0), 0, len(first), len(prompt))
    kept: deque[Tokens] = deque()
    counted = content = 0
    complete = True
    limit, from_end = options.max_tokens, options.from_end
    for run in chain([first[prompt_tokens:]], runs):
        counted += len(run)
        if limit is None or from_end or content <= limit:
            kept.append(run if options.offsets else run.without_characters())
            content += len(run)
        while limit is not None and from_end and content - len(kept[0]) >= limit:
            content -= len(kept.popleft())
        if limit is not None and not (options.count or from_end) and counted > limit:
            complete = False
            break
    around = tokenizer([text[:1]], padding=False, truncation=False, verbose=False)

    def joined(name: str, runs: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
        ids = np.array(around[name][0], dtype=np.int32)
        return np.concatenate([ids[:leading], *runs, ids[len(ids) - trailing :]])

    parts = [first[:prompt_tokens], *kept]
    types = [run.type_ids for run in parts if run.type_ids is not None]
    return TokenizedText(
        ids=joined("input_ids", [run.ids for run in parts]),
        type_ids=joined("token_type_ids", types) if types else None,
        header=leading + prompt_tokens,
        footer=trailing,
        prompt_characters=len(prompt),
        offsets=_Ranges(Tokens.joined(parts), leading) if options.offsets else None,
        dropped=counted - content,
        complete=complete,
    )


@dataclass(frozen=True)
class _Ranges:
    """The characters of each token, behind so many leading special ones."""

    tokens: Tokens
    leading: int

    def token_to_chars(self, token_index: int, /) -> tuple[int, int] | None:
        index = token_index - self.leading
        if not 0 <= index < len(self.tokens):
            return None
        return int(self.tokens.starts[index]), int(self.tokens.ends[index])

    def ends(self, places: range) -> NDArray[np.int64]:
        """Return the ends of tokens that are not special."""
        first, last = places.start - self.leading, places.stop - self.leading
        return np.asarray(self.tokens.ends[first:last], dtype=np.int64)


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    for probe in PROBES:
        plain = tokenizer(probe, add_special_tokens=False)["input_ids"]
        full = tokenizer(probe)["input_ids"]
        for leading in range(len(full) - len(plain) + 1):
            if plain and full[leading : leading + len(plain)] == plain:
                return leading, len(full) - len(plain) - leading
    raise InputError(
        f"{type(tokenizer).__name__} changes a text's own tokens when it adds special ones; "
        "longembed-st cannot tell the two apart"
    )


def _tokens_within(offsets: Offsets, start: int, end: int, characters: int) -> int:
    """How many tokens from `start` on end within the first so many characters."""
    count = 0
    while start + count < end:
        span = offsets.token_to_chars(start + count)
        if span is None or span[1] > characters or characters == 0:
            break
        count += 1
    return count
