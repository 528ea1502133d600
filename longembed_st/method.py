"""What an extension method is, and the registry that finds the installed ones.

A method answers questions about positions and windows and knows no model. Where in a model the
answers go is the business of `longembed_st.families`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from longembed_st.errors import ConfigError, ModelError

ENTRY_POINT_GROUP = "longembed_st.methods"

Encoding = Literal["absolute", "unknown"]
"""How a model encodes positions."""

Hook = Literal["position_ids", "logn"]
"""A place in a model where an extension can act: the position ids, the attention logits."""


@dataclass(frozen=True)
class Context:
    """The windows of an extended model.

    Attributes:
        original: L_o, in tokens.
        extended: L_t, in tokens, or None where there is no upper length.
    """

    original: int
    extended: int | None

    @property
    def scaling_factor(self) -> int:
        """`s = ceil(L_t / L_o)` (LongEmbed, section 4.2)."""
        return self.factor_for(self.extended or self.original)

    def factor_for(self, n: int) -> int:
        """`ceil(n / L_o)` for a text of n tokens."""
        return math.ceil(n / self.original)


@dataclass(frozen=True)
class Recommendation:
    """Why `method="auto"` would choose a method for a kind of position encoding.

    Attributes:
        rank: The method with the highest rank is chosen.
        evidence: What is known in its favour, in half a sentence.
    """

    rank: int
    evidence: str


class Method(BaseModel):
    """Base class of all extension methods; its fields are the method's options.

    Subclass it, answer the questions where the answer differs from the unmodified model's, and
    register the class under the entry-point group `longembed_st.methods` by the name in `name`.

    Attributes:
        name: What users call it.
        summary: What it does, in half a sentence.
        source: Paper and equation.
        needs: The hooks that a model must offer.
        scales_logn: Whether log-n scaling makes a difference to it.
        tied_to_checkpoint: Whether the checkpoint was made for it and no other method can read it.
        recommended_for: Where `method="auto"` should consider it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[frozenset[Hook]] = frozenset()
    scales_logn: ClassVar[bool] = True
    tied_to_checkpoint: ClassVar[bool] = False
    recommended_for: ClassVar[dict[Encoding, Recommendation]] = {}

    @classmethod
    def default_max_seq_length(cls, original: int) -> int | None:
        """The extended window if the user names none: the paper's largest, eight times L_o.

        Args:
            original: L_o, in tokens.

        Returns:
            L_t in tokens, or None for no upper length.
        """
        return 8 * original

    def check(self, context: Context) -> None:
        """Raise `ConfigError` if the options contradict the windows.

        Args:
            context: The original and the extended window.
        """

    def windows(self, n: int, room: int) -> list[tuple[int, int]] | None:
        """Cut the content of a text that is longer than L_o into windows that are read one by one.

        Args:
            n: Content tokens of the text: its prompt and special tokens not counted.
            room: Content tokens that fit into one window beside prompt and special tokens.

        Returns:
            Half-open (start, end) ranges of content tokens, or None to read the text in one pass.
        """
        return None

    def tokens_per_window(self, context: Context) -> int:
        """Tokens of one window, prompt and special tokens counted."""
        return context.original

    def position_ids(self, n: int, context: Context) -> Tensor | None:
        """Where the n tokens of one pass stand, counted from the first position of the model.

        Args:
            n: Tokens of the pass, special tokens counted.
            context: The original and the extended window.

        Returns:
            Shape (n,): int64, or float64 where positions lie between two learned ones; None to
            leave the positions to the model.
        """
        return None

    def last_position(self, context: Context) -> int:
        """The highest position that any text is given."""
        return context.original - 1

    def baked_positions(self, context: Context) -> Tensor:
        """The position, in the present table, of each row of a table of L_t rows.

        Args:
            context: The original and the extended window.

        Returns:
            Shape (L_t,).

        Raises:
            ModelError: If the method cannot be written as a longer table.
        """
        raise ModelError(
            f"method {self.name!r} needs longembed-st at run time and cannot be baked. Use "
            "model.save_pretrained(path), or extend with gp, rp or pi and bake that"
        )


@cache
def methods() -> dict[str, type[Method]]:
    """All installed extension methods, by name.

    Returns:
        Name to class; `summary` and `source` of a class say what it does and where it is from.

    Raises:
        ConfigError: If two installed packages register one name, or a registered object is not a
            `Method` of that name.
    """
    found: dict[str, type[Method]] = {}
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name):
        method = entry_point.load()
        if not (isinstance(method, type) and issubclass(method, Method)):
            raise ConfigError(
                f"entry point {entry_point.name!r} ({entry_point.value}) is no longembed_st.Method"
            )
        if found.get(entry_point.name, method) is not method or method.name != entry_point.name:
            raise ConfigError(
                f"the method name {entry_point.name!r} is taken, or {entry_point.value} calls "
                f"itself {method.name!r}; uninstall or rename one"
            )
        found[entry_point.name] = method
    return found


def get_method(name: str) -> type[Method]:
    """The method class of a name.

    Raises:
        ConfigError: If there is none; the message lists those that exist.
    """
    try:
        return methods()[name]
    except KeyError:
        raise ConfigError(
            f"unknown method {name!r}; installed methods: {', '.join(methods())}"
        ) from None
