"""From texts to tokens: all of them counted, nothing cut unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Encoding
from transformers import BatchEncoding, PreTrainedTokenizerBase

from longembed_st.errors import InputError

PARTS = HEADER, CONTENT, FOOTER = 0, 1, 2
"""The part of a text that a token belongs to; windows repeat the outer two."""

_PROBES = ("a", "1", ".", "\u4e00")
"""Texts of which a tokenizer knows at least one."""


@dataclass(frozen=True)
class TokenizedText:
    """One text as the model's own tokenizer sees it.

    A text is a header (leading special tokens and the prompt), its content, and a footer (trailing
    special tokens). Windows repeat header and footer and share out the content.

    Attributes:
        ids: Token ids, header and footer included.
        type_ids: Token type ids, or None if the tokenizer makes none.
        header: Tokens of the header.
        footer: Tokens of the footer.
        prompt_characters: Characters of the prompt that stands before the text.
        encoding: The tokenizer's record of character offsets, or None from a slow tokenizer.
    """

    ids: list[int]
    type_ids: list[int] | None
    header: int
    footer: int
    prompt_characters: int
    encoding: Encoding | None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def content(self) -> int:
        """Tokens between header and footer."""
        return len(self.ids) - self.header - self.footer

    @property
    def parts(self) -> list[int]:
        """The part that each token belongs to."""
        return [HEADER] * self.header + [CONTENT] * self.content + [FOOTER] * self.footer

    def shortened(self, limit: int, keep_end: bool) -> TokenizedText:
        """The text without the content tokens that exceed a limit.

        Args:
            limit: Most tokens to keep, header and footer included.
            keep_end: Whether to drop the first content tokens instead of the last.

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
        dropped = slice(first, first + excess)

        def without(tokens: list[int]) -> list[int]:
            return tokens[: dropped.start] + tokens[dropped.stop :]

        return replace(
            self,
            ids=without(self.ids),
            type_ids=None if self.type_ids is None else without(self.type_ids),
            encoding=None,
        )

    def characters(self, start: int, end: int) -> tuple[int, int] | None:
        """The characters of the text, prompt not counted, behind a range of content tokens.

        Args:
            start: First content token.
            end: Content token after the last.

        Returns:
            Half-open (start, end) in characters, or None if the tokenizer keeps no offsets.
        """
        if self.encoding is None:
            return None
        if start >= end:
            return (0, 0)
        first = self.encoding.token_to_chars(self.header + start)
        last = self.encoding.token_to_chars(self.header + end - 1)
        if first is None or last is None:
            return None
        return (
            max(first[0] - self.prompt_characters, 0),
            max(last[1] - self.prompt_characters, 0),
        )


def checked_texts(inputs: Sequence[Any]) -> list[str]:
    """The inputs, if each is a string that can be tokenized.

    Raises:
        InputError: Naming the first input that is not.
    """
    texts: list[str] = []
    for index, text in enumerate(inputs):
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
                f"character {error.start}, which is no valid text; replace it, for instance with "
                "text.encode('utf-8', 'replace').decode()"
            ) from None
        texts.append(str(text))
    return texts


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], prompt: str | None
) -> list[TokenizedText]:
    """Tokenize whole texts.

    Args:
        tokenizer: The model's tokenizer.
        texts: Valid strings, without their prompt.
        prompt: Put before each text, or None.

    Returns:
        One record a text, in order.
    """
    if not texts:
        return []
    prompt = prompt or ""
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
        encoding = batch[index] if tokenizer.is_fast else None
        if encoding is not None:
            prompt_tokens = _tokens_within(encoding, leading, len(ids) - trailing, len(prompt))
        records.append(
            TokenizedText(
                ids=ids,
                type_ids=type_ids[index] if type_ids is not None else None,
                header=leading + prompt_tokens,
                footer=trailing,
                prompt_characters=len(prompt),
                encoding=encoding,
            )
        )
    return records


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """How many special tokens the tokenizer puts before and after a text."""
    for probe in _PROBES:
        plain = tokenizer(probe, add_special_tokens=False)["input_ids"]
        full = tokenizer(probe)["input_ids"]
        for leading in range(len(full) - len(plain) + 1):
            if plain and full[leading : leading + len(plain)] == plain:
                return leading, len(full) - len(plain) - leading
    raise InputError(
        f"{type(tokenizer).__name__} changes a text's own tokens when it adds special ones; "
        "longembed-st cannot tell the two apart"
    )


def _tokens_within(encoding: Encoding, start: int, end: int, characters: int) -> int:
    """How many tokens from `start` on end within the first so many characters."""
    count = 0
    while start + count < end:
        span = encoding.token_to_chars(start + count)
        if span is None or span[1] > characters or characters == 0:
            break
        count += 1
    return count
