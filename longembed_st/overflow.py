"""What was read of each text, and what happens to the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from longembed_st.config import ExtensionConfig
from longembed_st.errors import InputError, TextNotReadWarning


@dataclass(frozen=True)
class Coverage:
    """What a text's vector is computed from.

    Attributes:
        tokens: Tokens of the whole text, its prompt and special tokens counted.
        read: How many of them the vector is computed from.
        windows: Forward passes that share the reading; 1 unless the method cuts windows.
        spans: For each of these passes, the half-open range of characters of the text that it
            read; empty where the tokenizer keeps no offsets.
    """

    tokens: int
    read: int
    windows: int
    spans: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    @property
    def share(self) -> float:
        """The share of the tokens that was read, from 0 to 1."""
        return self.read / self.tokens if self.tokens else 1.0


@dataclass
class _Observation:
    """What one observer has seen so far; a text read with two prompts keeps the last."""

    warns: bool = False
    seen: dict[str, Coverage] = field(default_factory=dict)
    texts_cut: int = 0
    tokens_cut: int = 0


_observation: ContextVar[tuple[_Observation, ...]] = ContextVar("longembed_observation", default=())


@contextmanager
def _observing(warns: bool) -> Iterator[_Observation]:
    observation = _Observation(warns)
    token = _observation.set((*_observation.get(), observation))
    try:
        yield observation
    finally:
        _observation.reset(token)


@contextmanager
def observe_coverage() -> Iterator[Mapping[str, Coverage]]:
    """Watch what is read of every text that is encoded inside the `with` block, in this process.

    Yields:
        A mapping from text, without its prompt, to its coverage; it fills as texts are encoded.
    """
    with _observing(warns=False) as observation:
        yield observation.seen


def record(text: str, coverage: Coverage, config: ExtensionConfig) -> None:
    """Note what is read of a text, and apply the overflow policy to it.

    Args:
        text: The text, without its prompt.
        coverage: What is read of it.
        config: The extension whose policy applies.

    Raises:
        InputError: If the text is too long and the policy is "error".
    """
    cut = coverage.tokens - coverage.read
    if cut and config.on_overflow == "error":
        raise InputError(
            f"a text of {coverage.tokens} tokens ({text[:40]!r}...) is longer than the window of "
            f"{coverage.read} tokens. {_way_out(config)}"
        )
    for observation in _observation.get():
        observation.seen[text] = coverage
        observation.texts_cut += bool(cut)
        observation.tokens_cut += cut


@contextmanager
def warn_once(config: ExtensionConfig, stacklevel: int) -> Iterator[None]:
    """Sum up what is not read inside the block, and warn once at its end if anything was not.

    Args:
        config: The extension whose policy applies.
        stacklevel: Frames between this block and the user's line that the warning should name.
    """
    with _observing(warns=True) as observation:
        yield
    if observation.texts_cut and config.on_overflow == "warn":
        message = (
            f"{observation.tokens_cut} tokens of {observation.texts_cut} "
            f"text{'s' if observation.texts_cut > 1 else ''} were not read: they lie beyond the "
            f"window of {config.max_seq_length} tokens. {_way_out(config)}"
        )
        # Two frames for the context manager itself.
        warnings.warn(message, TextNotReadWarning, stacklevel=stacklevel + 2)


def will_be_warned() -> bool:
    """Whether a call further up already sums up what is not read."""
    return any(observation.warns for observation in _observation.get())


def _way_out(config: ExtensionConfig) -> str:
    return (
        "To read them, load the model with method='pcw', which has no upper length, or with a "
        f"max_seq_length above {config.max_seq_length}; to accept the loss, on_overflow='truncate'"
    )
