"""The base class of extension methods, and their registry.

A method computes positions and windows and knows no model; `longembed_st.positions.family` knows
where these enter a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from longembed_st.errors import ConfigError, ModelError
from longembed_st.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

ENTRY_POINT_GROUP = "longembed_st.methods"

Encoding = Literal["absolute", "rotary", "relative", "alibi", "unknown"]
"""How a model encodes positions."""

Capability = Literal[
    "position_ids",
    "position_table",
    "frequencies",
    "relative_positions",
    "logn",
    "extrapolation",
]
"""What a model offers to an extension: to set the positions of tokens, the table of learned ones,
the frequencies of rotary ones, relative positions inside the attention, a scale of its logits, or
simply to read on past the original window."""


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
        """The scaling factor `s = ceil(L_t / L_o)` (LongEmbed, section 4.2)."""
        return self.factor_for(self.extended or self.original)

    def factor_for(self, n: int) -> int:
        """Return `ceil(n / L_o)` for a text of n tokens."""
        return math.ceil(n / self.original)


@dataclass(frozen=True)
class Frequencies:
    """How fast the channels of a rotary embedding rotate.

    Attributes:
        inverse: Shape (d / 2,): the angle theta_j of one position step, in radians.
        base: The rotary base, of which `theta_j = base^(-2j/d)` unless scaled since.
        attention_factor: Multiplies cosine and sine.
        rope_type: The scheme of transformers that they follow.
    """

    inverse: Tensor
    base: float
    attention_factor: float = 1.0
    rope_type: str = "default"

    def with_inverse(self, inverse: Tensor, attention_factor: float | None = None) -> Frequencies:
        """Return a copy with other angles, and perhaps another factor."""
        factor = self.attention_factor if attention_factor is None else attention_factor
        return replace(self, inverse=inverse, attention_factor=factor)


@dataclass(frozen=True)
class Grouping:
    """The two position maps of SelfExtend.

    Attributes:
        group_size: G: tokens that share a position outside the neighbour window.
        neighbor_window: w, in tokens: relative positions below it stay exact.
    """

    group_size: int
    neighbor_window: int


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

    Subclass it, override the methods whose result differs from the unmodified model's, and register
    the class: `register_method`, or the entry-point group `longembed_st.methods`.

    Attributes:
        name: Its name in settings.
        summary: What it does, in half a sentence.
        source: Paper and equation.
        needs: The capabilities that a model must offer.
        scales_logn: Whether log-n scaling makes a difference to it.
        tied_to_checkpoint: Whether the checkpoint was made for it and no other method can read it.
        recommended_for: Where `method="auto"` should consider it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    needs: ClassVar[frozenset[Capability]] = frozenset()
    scales_logn: ClassVar[bool] = True
    tied_to_checkpoint: ClassVar[bool] = False
    recommended_for: ClassVar[dict[Encoding, Recommendation]] = {}

    @classmethod
    def default_max_seq_length(cls, original: int) -> int | None:
        """Return the default extended window: the paper's largest, eight times L_o.

        Args:
            original: L_o, in tokens.

        Returns:
            L_t in tokens, or None for no upper length.
        """
        return 8 * original

    @classmethod
    def is_affordable(cls, context: Context) -> bool:
        """Whether `method="auto"` may choose it for these windows."""
        return True

    def check(self, context: Context) -> None:
        """Raise `ConfigError` if the options contradict the windows."""

    def resolved(self, context: Context) -> Self:
        """Return the method with every option set, as a default may depend on the windows."""
        return self

    @classmethod
    def usual_options(cls, context: Context) -> dict[str, Any]:
        """Return the value of each option that has a default."""
        return cls.model_construct().resolved(context).model_dump()

    def required(self, context: Context) -> frozenset[Capability]:
        """Return the capabilities that the method needs with these windows."""
        return self.needs

    def windows(self, n: int, room: int) -> list[tuple[int, int]] | None:
        """Cut the content of a text that is longer than L_o into windows that are read one by one.

        Args:
            n: Content tokens of the text: its prompt and special tokens not counted.
            room: Content tokens that fit into one window with prompt and special tokens.

        Returns:
            Half-open (start, end) ranges of content tokens, or None to read the text in one pass.
        """
        return None

    def tokens_per_window(self, context: Context) -> int:
        """Return the tokens of one window, prompt and special tokens counted."""
        return context.original

    def reads_originally(self, n: int, context: Context) -> bool:
        """Whether a pass of n tokens is read exactly as by the unmodified model.

        Args:
            n: Tokens of the pass, special tokens counted.
            context: The original and the extended window.
        """
        return n <= context.original

    def position_ids(self, n: int, context: Context) -> Tensor | None:
        """Return the positions of the tokens of a pass that is not read originally, from 0 on.

        Args:
            n: Tokens of the pass, special tokens counted.
            context: The original and the extended window.

        Returns:
            Shape (n,): int64, or float64 where positions lie between two learned ones; None to
            leave the positions to the model.
        """
        return None

    def frequencies(self, n: int, context: Context, original: Frequencies) -> Frequencies | None:
        """Return the rotary frequencies for a pass that is not read originally.

        Args:
            n: Tokens of the pass, special tokens counted.
            context: The original and the extended window.
            original: The model's own frequencies.

        Returns:
            The frequencies, or None for the model's own.
        """
        return None

    def grouping(self, n: int, context: Context) -> Grouping | None:
        """Return how relative positions are grouped in a pass that is not read originally.

        Args:
            n: Tokens of the pass, special tokens counted.
            context: The original and the extended window.

        Returns:
            The grouping, or None for exact relative positions.
        """
        return None

    def last_position(self, context: Context) -> int:
        """Return the highest position of any text."""
        return context.original - 1

    def baked_positions(self, context: Context) -> Tensor:
        """Return the position in the present table of each row of a table of L_t rows.

        Returns:
            Shape (L_t,).

        Raises:
            ModelError: If the method cannot be written as a longer table.
        """
        raise self._needs_run_time()

    def baked_rope(
        self, rope_parameters: dict[str, Any], width: int, context: Context
    ) -> dict[str, Any]:
        """Express the method as `rope_parameters` of transformers.

        Args:
            rope_parameters: The model's own, of its global layers.
            width: d, the channels of a head that are rotated.
            context: The original and the extended window.

        Returns:
            The parameters of the extended model.

        Raises:
            ModelError: If the method cannot be written as a configuration.
        """
        raise self._needs_run_time()

    @classmethod
    def can_be_baked(cls) -> bool:
        """Whether it can be written into a plain model, as a table or as a configuration."""
        return (
            cls.baked_positions is not Method.baked_positions
            or cls.baked_rope is not Method.baked_rope
        )

    def _needs_run_time(self) -> ModelError:
        return ModelError(
            f"method {self.name!r} needs longembed-st at run time and cannot be baked. Use "
            "model.save_pretrained(path) instead"
        )


def _name_of(method: Any, where: str) -> str:
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise ConfigError(f"{where} is not a longembed_st.Method")
    name = getattr(method, "name", None)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{where} has no name: set the class variable `name`")
    return name


_registry: Registry[type[Method]] = Registry(ENTRY_POINT_GROUP, "method", _name_of)


def register_method(method: type[Method]) -> type[Method]:
    """Register a method in this process; also as a class decorator.

    A package registers its methods by the entry-point group `longembed_st.methods` instead: other
    processes, and the `longembed` command, then find them too.

    Args:
        method: The class.

    Returns:
        The method.

    Raises:
        ConfigError: If it is not a `Method`, or another one has its name.
    """
    return _registry.register(method)


def methods() -> dict[str, type[Method]]:
    """Return all extension methods, by name.

    Returns:
        Name to class; `summary` and `source` of a class say what it does and where it is from.

    Raises:
        ConfigError: If two installed packages register one name, or a registered object is not a
            `Method` of that name.
    """
    return _registry.all()


def get_method(name: str) -> type[Method]:
    """Return the method class of a name.

    Raises:
        ConfigError: If it is unknown; the message lists those that exist.
    """
    if not isinstance(name, str) or name not in methods():
        raise ConfigError(f"unknown method {name!r}; installed methods: {', '.join(methods())}")
    return methods()[name]
