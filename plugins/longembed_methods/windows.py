"""Methods that keep positions: the model as it is, and parallel context windows."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from typing_extensions import Self

from longembed_st.errors import ConfigError
from longembed_st.positions.method import Capability, Context, Encoding, Method, Recommendation


class Unchanged(Method):
    """The model as shipped, with our batching and our count of what was read.

    A larger window is possible where the position encoding extrapolates by itself: relative biases
    and ALiBi.
    """

    name: ClassVar[str] = "none"
    summary: ClassVar[str] = "the model as it is; text beyond its window is reported, not read"
    source: ClassVar[str] = "-"
    scales_logn: ClassVar[bool] = False

    @classmethod
    def default_max_seq_length(cls, original: int) -> int | None:
        """Return L_o, as nothing is extended."""
        return original

    def required(self, context: Context) -> frozenset[Capability]:
        """Return nothing, or for a larger window a position encoding that extrapolates."""
        extended = context.extended is not None and context.extended > context.original
        return frozenset({"extrapolation"}) if extended else frozenset()

    def reads_originally(self, n: int, context: Context) -> bool:
        """Return True: longer texts go through the unmodified model, too."""
        return True


class ParallelContextWindows(Method):
    """Read a long text window by window and average the windows' pooled vectors.

    Source: parallel context windows, Ratner et al. (2023), as in LongEmbed, section 4.2: windows of
    L_o tokens, no overlap, the last window moved back so that it is full. Prompt and special tokens
    are repeated in every window. There is no upper length.

    Attributes:
        window_size: Tokens of a window, prompt and special tokens counted. Default L_o.
        overlap: Content tokens that a window shares with the one before it.
    """

    name: ClassVar[str] = "pcw"
    summary: ClassVar[str] = "parallel context windows: the mean of the windows, no upper length"
    source: ClassVar[str] = "LongEmbed section 4.2; Ratner et al. 2023, arXiv 2212.10947"
    scales_logn: ClassVar[bool] = False
    recommended_for: ClassVar[dict[Encoding, Recommendation]] = {
        "absolute": Recommendation(
            2, "it led the training-free methods on long meetings (docs/METHODS.md)"
        ),
        "rotary": Recommendation(1, "it works for every model"),
        "relative": Recommendation(1, "it works for every model"),
        "alibi": Recommendation(1, "it works for every model"),
        "unknown": Recommendation(1, "it works for every model"),
    }

    window_size: int | None = Field(default=None, ge=4)
    overlap: int = Field(default=0, ge=0)

    @classmethod
    def default_max_seq_length(cls, original: int) -> int | None:
        """Return None, as there is no upper length."""
        return None

    def check(self, context: Context) -> None:
        """Refuse windows that the model cannot read or that never advance."""
        size = self.tokens_per_window(context)
        if size > context.original:
            raise ConfigError(
                f"window_size={size} is more than the model's original window of "
                f"{context.original} tokens"
            )
        if self.overlap >= size:
            raise ConfigError(
                f"overlap={self.overlap} must be smaller than the window of {size} tokens"
            )

    def resolved(self, context: Context) -> Self:
        """Set windows of L_o tokens, unless the size is given."""
        return self.model_copy(update={"window_size": self.tokens_per_window(context)})

    def tokens_per_window(self, context: Context) -> int:
        """Return the option, or L_o."""
        return self.window_size or context.original

    def windows(self, n: int, room: int) -> list[tuple[int, int]] | None:
        """Return full windows in order, each `room - overlap` tokens after the one before it."""
        return parallel_windows(n, room, self.overlap)


def parallel_windows(n: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Cut n tokens into full windows; the last one is moved back to end with the text.

    Args:
        n: Tokens to cover.
        size: Tokens of a window.
        overlap: Tokens that neighbouring windows share.

    Returns:
        Half-open (start, end) ranges that cover 0 to n without a gap. One range if n <= size.

    Raises:
        ConfigError: If a window has no room for new tokens.
    """
    stride = size - overlap
    if stride < 1:
        raise ConfigError(
            f"a window has room for {size} tokens besides the prompt and the special tokens, and "
            f"overlap={overlap} leaves none for new text; use a larger window or a smaller overlap"
        )
    last = max(n - size, 0)
    starts = [*range(0, last, stride), last]
    return [(start, min(start + size, n)) for start in starts]
