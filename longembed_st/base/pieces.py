"""Long texts tokenized piece by piece: the same tokens, with less memory.

A tokenizer's own record of a text takes hundreds of bytes a token. Pieces overlap, and are joined
where both saw the same tokens and no token can depend on what lies beyond: at the start of a word,
as the tokenizer splits words, or between two characters that no merge ever joins; and never at a
character that Unicode normalization may move or compose. Where there is no such place, the piece
grows, in the worst case to the whole text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers.models import BPE
from transformers import BatchEncoding, PreTrainedTokenizerBase

PIECE = 250_000
"""Characters that are tokenized at once: some 50 MB of the tokenizer's records."""

OVERLAP = 2_000
"""Characters that two pieces share."""

AGREEMENT = 8
"""Tokens before and behind a joint that both pieces must have alike."""


@dataclass(frozen=True)
class Tokens:
    """A run of tokens, special ones left out.

    Attributes:
        ids: Token ids.
        type_ids: Token type ids, or None if the tokenizer makes none.
        starts: The first character of each token, in the whole text.
        ends: The character behind each token.
        opens: Whether each token is the first of a word, as the tokenizer splits words.
    """

    ids: NDArray[np.int32]
    type_ids: NDArray[np.int32] | None
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]
    opens: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Tokens:
        types = None if self.type_ids is None else self.type_ids[part]
        return Tokens(self.ids[part], types, self.starts[part], self.ends[part], self.opens[part])

    @classmethod
    def joined(cls, runs: Sequence[Tokens]) -> Tokens:
        """Join runs into one."""

        def join(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(run, name) for run in runs])

        types = None if runs[0].type_ids is None else join("type_ids")
        return cls(join("ids"), types, join("starts"), join("ends"), join("opens"))

    def without_characters(self) -> Tokens:
        """Drop all but the ids: the rest takes three times their memory."""
        none = np.empty(0, dtype=np.int32)
        return Tokens(self.ids, self.type_ids, none, none, none.astype(np.bool_))

    def equals(self, other: Tokens) -> bool:
        """Whether both are the same tokens of the same characters."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("ids", "starts", "ends", "opens")
        )


def in_pieces(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    specials: tuple[int, int],
    *,
    size: int = PIECE,
    overlap: int = OVERLAP,
) -> Iterator[Tokens]:
    """Yield the tokens of a text run by run; joined, they are those of the whole.

    Args:
        tokenizer: A fast one.
        text: The text, its prompt included.
        specials: How many special tokens the tokenizer puts before and behind a text.
        size: Characters of a piece, more than the overlap.
        overlap: Characters that two pieces share.
    """
    inseparable = _Inseparable(tokenizer)
    start, end, done = 0, size, 0
    tokens = _tokens(tokenizer, text, start, end, specials)
    while end < len(text):
        begin = end - overlap
        following = _tokens(tokenizer, text, begin, begin + size, specials)
        joint = _joint(text, tokens, following, begin, end, inseparable)
        if joint is None:
            end += end - start
            tokens = _tokens(tokenizer, text, start, end, specials)
            continue
        yield tokens[done : joint[0]]
        tokens, done = following, joint[1]
        start, end = begin, begin + size
    yield tokens[done:]


def _tokens(
    tokenizer: PreTrainedTokenizerBase, text: str, start: int, end: int, specials: tuple[int, int]
) -> Tokens:
    batch: BatchEncoding = tokenizer(
        [text[start:end]],
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    encoding = batch[0]
    content = slice(specials[0], len(encoding) - specials[1])
    types = batch.get("token_type_ids")
    offsets = np.array(encoding.offsets[content], dtype=np.int32).reshape(-1, 2) + start
    words = np.array([-1 if word is None else word for word in encoding.word_ids[content]])
    return Tokens(
        ids=np.array(batch["input_ids"][0][content], dtype=np.int32),
        type_ids=None if types is None else np.array(types[0][content], dtype=np.int32),
        starts=offsets[:, 0],
        ends=offsets[:, 1],
        opens=np.diff(words, prepend=-1) != 0,
    )


def _joint(
    text: str,
    left: Tokens,
    right: Tokens,
    begin: int,
    end: int,
    inseparable: Callable[[int, int], bool],
) -> tuple[int, int] | None:
    """Find the token at which the right run can follow the left one, as its index in each.

    The left run ends with the character `end`, the right one starts at `begin`, which lies before.
    """
    shared = np.flatnonzero(right.starts < end)
    first_at = {int(right.starts[index]): int(index) for index in shared[::-1]}
    middle = (begin + end) / 2
    candidates = np.flatnonzero(left.starts > begin)
    for candidate in sorted(candidates, key=lambda index: abs(left.starts[index] - middle)):
        i, start = int(candidate), int(left.starts[candidate])
        j = first_at.get(start)
        if j is None or min(i, j) < AGREEMENT or i + AGREEMENT > len(left):
            continue
        if (
            left.ends[i - 1] <= start
            and _normalizes_apart(*text[start - 1 : start + 1])
            and left[i - AGREEMENT : i + AGREEMENT].equals(right[j - AGREEMENT : j + AGREEMENT])
            and (left.opens[i] or not inseparable(left.ids[i - 1], left.ids[i]))
        ):
            return i, j
    return None


def _normalizes_apart(before: str, behind: str) -> bool:
    """Whether normalization neither moves the second of two characters nor composes the two."""
    if unicodedata.combining(unicodedata.normalize("NFKD", behind)[0]):
        return False
    return unicodedata.normalize("NFKC", before + behind) == (
        unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", behind)
    )


class _Inseparable:
    """Whether the text around two tokens of a word may decide where the two divide.

    Byte-pair encoding joins neighbours one by one: two characters that stand side by side in no
    token are never joined, whatever surrounds them. Other models choose for a word as a whole.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._model = tokenizer.backend_tokenizer.model

    def __call__(self, first: int, second: int) -> bool:
        if not self._joins_neighbours:
            return True
        before, behind = self._model.id_to_token(int(first)), self._model.id_to_token(int(second))
        unknown = self._model.unk_token
        if not before or not behind or unknown in (before, behind):
            return True
        return before[-1] + behind[0] in self._joined

    @property
    def _joins_neighbours(self) -> bool:
        model = self._model
        return isinstance(model, BPE) and not (
            model.dropout or model.continuing_subword_prefix or model.end_of_word_suffix
        )

    @cached_property
    def _joined(self) -> set[str]:
        """All pairs of characters inside of tokens."""
        vocabulary = self._tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
        return {a + b for token in vocabulary for a, b in pairwise(token)}
