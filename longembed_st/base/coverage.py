"""How much of each text was read, and the report of the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from longembed_st.base.unknown_tokens import UNKNOWN_SHARE, advice_on_unknown
from longembed_st.errors import InputError, TextNotReadWarning, UnknownTokensWarning

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from longembed_st.base.extension import ExtensionConfig


Role = Literal["query", "document"]
"""The role of a text in a search."""


@dataclass(frozen=True)
class Coverage:
    """How much of a text its vector is computed from.

    Attributes:
        tokens: Tokens of the whole text, its prompt and special tokens counted.
        read: How many of them the vector is computed from.
        passes: Passes through the model; 1 unless the method cuts windows.
        spans: For each of these passes, the half-open range of characters of the text that it
            read; empty if they were not requested, or the tokenizer keeps no offsets.
        unknown: How many of the tokens that were read the model does not know: they look the same
            to it.
        query_lost: Tokens of the query that were not read: of the query of a pair, or of a text in
            the role of a query.

    Example:
        >>> from longembed_st import Coverage
        >>> Coverage(tokens=1024, read=512, passes=1).share
        0.5
    """

    tokens: int
    read: int
    passes: int
    spans: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    unknown: int = 0
    query_lost: int = 0

    @property
    def document_lost(self) -> int:
        """The number of tokens of the document that were not read."""
        return self.tokens - self.read - self.query_lost

    @property
    def share(self) -> float:
        """The share of the tokens that was read, from 0 to 1."""
        return self.read / self.tokens if self.tokens else 1.0

    @property
    def is_unknown(self) -> bool:
        """Whether the model does not know so many of the tokens that the vector says little."""
        return self.unknown > UNKNOWN_SHARE * self.read


@dataclass(frozen=True)
class Encoded:
    """Texts as vectors, and what each vector was computed from, in the order of the texts.

    Attributes:
        vectors: Shape (texts, width), in single precision.
        coverages: One a text.
    """

    vectors: NDArray[np.float32]
    coverages: list[Coverage]

    def __len__(self) -> int:
        return len(self.coverages)


@dataclass(frozen=True)
class QueryVectors:
    """A query as a vector for documents, and one for runs of units.

    Attributes:
        vector: As `encode_query` gives it, shape (dimensions,).
        plain: A unit vector as units are: not whitened, tokens not weighted. Shape (width,).
        coverage: How much of the query was read.
    """

    vector: NDArray[np.float32]
    plain: NDArray[np.float32]
    coverage: Coverage


@dataclass
class Overflow:
    """Counts what one call does not read, batch by batch, for one report at its end.

    Attributes:
        texts: Texts that were not read to their end.
        tokens: Their tokens that were not read.
        queries: Queries that were not read to their end.
        query_tokens: Their tokens that were not read.
        longest_query: The tokens of the longest of them, and how many of these were read.
        exact: Whether the caller needs the exact count, whatever the policy.
        unknown_texts: Texts with too many tokens that the model does not know.
        unknown_share: The greatest share of such tokens in a text.
        unknown_words: Returns examples of what is not known.
    """

    texts: int = 0
    tokens: int = 0
    queries: int = 0
    query_tokens: int = 0
    longest_query: tuple[int, int] = (0, 0)
    exact: bool = True
    unknown_texts: int = 0
    unknown_share: float = 0.0
    unknown_words: Callable[[], Sequence[str]] = tuple

    def count(
        self, text: str, tokens: int, limit: int, config: ExtensionConfig, complete: bool = True
    ) -> None:
        """Count what is not read of a text; `complete` says whether `tokens` are all its tokens.

        Raises:
            InputError: If the text is too long and the policy is "error".
        """
        if tokens <= limit:
            return
        if config.on_overflow == "error":
            length = f"{tokens} tokens" if complete else f"more than {limit} tokens"
            raise InputError(
                f"a text of {length} ({text[:40]!r}...) is longer than the window of {limit} "
                f"tokens. {_advice(config)}"
            )
        self.texts += 1
        self.tokens += tokens - limit

    def count_query(self, tokens: int, read: int, config: ExtensionConfig) -> None:
        """Count what is not read of a query.

        Raises:
            InputError: If not all are read and the policy is "error".
        """
        if read >= tokens:
            return
        if config.on_overflow == "error":
            raise InputError(
                f"a query of {tokens} tokens is longer than the {read} that are read of it. "
                f"{_QUERY_ADVICE}"
            )
        self.queries += 1
        self.query_tokens += tokens - read
        self.longest_query = max(self.longest_query, (tokens, read))

    def count_unknown(self, unknown: int, read: int, words: Callable[[], Sequence[str]]) -> None:
        """Count the tokens of a text that the model does not know."""
        if unknown <= UNKNOWN_SHARE * read:
            return
        self.unknown_texts += 1
        if unknown / read > self.unknown_share:
            self.unknown_share, self.unknown_words = unknown / read, words

    def warn(self, config: ExtensionConfig, stacklevel: int) -> None:
        """Warn of text that was not read, under the policy "warn", and of unknown tokens.

        Args:
            config: The extension whose policy applies.
            stacklevel: Frames between this call and the user's line that the warning should name.
        """
        if self.texts and config.on_overflow == "warn":
            message = (
                f"{self.tokens} tokens of {self.texts} text{'s' if self.texts > 1 else ''} were "
                f"not read: they lie beyond the window of {config.max_seq_length} tokens. "
                f"{_advice(config)}"
            )
            warnings.warn(message, TextNotReadWarning, stacklevel=stacklevel + 1)
        if self.queries and config.on_overflow == "warn":
            tokens, read = self.longest_query
            message = (
                f"{self.query_tokens} tokens of {self.queries} "
                f"{'queries' if self.queries > 1 else 'query'} were not read (of the longest, "
                f"{read} of {tokens} tokens were). {_QUERY_ADVICE}"
            )
            warnings.warn(message, TextNotReadWarning, stacklevel=stacklevel + 1)
        if self.unknown_texts:
            others = self.unknown_texts - 1
            more = f", and more than {UNKNOWN_SHARE:.0%} of {others} others" if others else ""
            message = (
                f"the model does not know {self.unknown_share:.0%} of the tokens of a text{more}. "
                f"{advice_on_unknown(self.unknown_words())}"
            )
            warnings.warn(message, UnknownTokensWarning, stacklevel=stacklevel + 1)


_of_this_call: ContextVar[Overflow | None] = ContextVar("overflow of this call", default=None)


def overflow_of_this_call() -> Overflow | None:
    """Return what the running call of `encode` or `predict` counts with; None outside of one."""
    return _of_this_call.get()


@contextmanager
def counting(overflow: Overflow) -> Iterator[None]:
    """Let `preprocess` count with an overflow, instead of warning itself."""
    token = _of_this_call.set(overflow)
    try:
        yield
    finally:
        _of_this_call.reset(token)


_QUERY_ADVICE = "Ask in fewer words, or accept the loss with on_overflow='truncate'"


def _advice(config: ExtensionConfig) -> str:
    return (
        "To read them, load the model with method='pcw', which has no upper length, or with a "
        f"max_seq_length above {config.max_seq_length}; to accept the loss, on_overflow='truncate'"
    )
