"""Methods that slow the rotation of a rotary model down, some frequencies more than others."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from longembed_st.errors import ConfigError, ModelError
from longembed_st.positions.method import Capability, Context, Frequencies, Method

PAPER_LAMBDA = {2: 3.0, 4: 5.0, 8: 10.0}
"""Scaling factor s to lambda (LongEmbed, table 6)."""


class _Frequencies(Method):
    needs: ClassVar[frozenset[Capability]] = frozenset({"frequencies"})

    def check(self, context: Context) -> None:
        """Require an extended window: how far to slow down depends on it."""
        if context.extended is None:
            raise ConfigError(f"method {self.name!r} needs a max_seq_length")


class NtkAware(_Frequencies):
    """Raise the rotary base: high frequencies stay, low ones slow down.

    `theta_j = (base * lambda)^(-2j/d)` (LongEmbed, section 4.3; bloc97, 2023).

    Attributes:
        base_factor: lambda. "square" is s^2, with which a real model's loss stays lowest over the
            whole extended window (docs/METHODS.md); "formula" is `s^(d / (d - 2))`, which slows
            the lowest frequency by exactly s; "paper" is LongEmbed's table 6, lambda 3, 5, 10 for
            s = 2, 4, 8, and between and beyond these a straight line on logarithmic scales; or a
            number.
        factor: "static" takes s from the extended window, `ceil(L_t / L_o)`; "dynamic" from the
            text's own n tokens, as a fraction, `n / L_o`.
    """

    name: ClassVar[str] = "ntk"
    summary: ClassVar[str] = "NTK-aware scaling: a larger rotary base"
    source: ClassVar[str] = "LongEmbed section 4.3 and table 6; bloc97 2023"

    base_factor: float | str = "square"
    factor: Literal["static", "dynamic"] = "static"

    def check(self, context: Context) -> None:
        """Refuse a lambda below 1, which would speed the rotation up, and unknown words."""
        super().check(context)
        if isinstance(self.base_factor, str):
            if self.base_factor not in ("square", "formula", "paper"):
                raise ConfigError(
                    f"base_factor={self.base_factor!r}: use 'square', 'formula', 'paper' or a "
                    "number"
                )
        elif not self.base_factor >= 1 or math.isinf(self.base_factor):
            raise ConfigError(f"base_factor={self.base_factor} must be a finite number from 1 on")
        if self.factor == "dynamic" and not isinstance(self.base_factor, str):
            raise ConfigError("factor='dynamic' needs a base_factor that follows the length")

    def frequencies(self, n: int, context: Context, original: Frequencies) -> Frequencies | None:
        """Return the original frequencies, slowed down."""
        scale = context.scaling_factor if self.factor == "static" else n / context.original
        return original.with_inverse(
            ntk_frequencies(original.inverse, self.base_multiple(scale, 2 * len(original.inverse)))
        )

    def base_multiple(self, scale: float, width: int) -> float:
        """Return lambda for a scaling factor."""
        if self.base_factor == "square":
            return float(scale**2)
        if self.base_factor == "formula":
            return float(scale ** (width / (width - 2)))
        if self.base_factor == "paper":
            return paper_lambda(scale)
        return float(self.base_factor)

    def baked_rope(
        self, rope_parameters: dict[str, Any], width: int, context: Context
    ) -> dict[str, Any]:
        """Return a larger `rope_theta`."""
        if self.factor == "dynamic":
            raise ModelError(
                "factor='dynamic' gives each length frequencies of its own, which a configuration "
                "cannot hold: bake with factor='static'"
            )
        multiple = self.base_multiple(context.scaling_factor, width)
        return {**rope_parameters, "rope_theta": rope_parameters["rope_theta"] * multiple}


class Yarn(_Frequencies):
    """Slow down by parts: low frequencies by s, high ones not at all, a ramp between.

    YaRN (Peng et al., 2023, arXiv 2309.00071), equations 15 to 18 and its attention factor
    `0.1 ln s + 1` on queries and keys.

    Attributes:
        beta_fast: Rotations within L_o from which a frequency stays as it is.
        beta_slow: Rotations within L_o up to which a frequency is slowed down by s.
        attention_factor: Overrides `0.1 ln s + 1`.
    """

    name: ClassVar[str] = "yarn"
    summary: ClassVar[str] = "YaRN: low frequencies slowed down, high ones kept, sharper attention"
    source: ClassVar[str] = "Peng et al. 2023, arXiv 2309.00071, section 3"

    beta_fast: float = Field(default=32.0, gt=0, allow_inf_nan=False)
    beta_slow: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    attention_factor: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    def check(self, context: Context) -> None:
        """Refuse a ramp that runs backwards."""
        super().check(context)
        if self.beta_fast <= self.beta_slow:
            raise ConfigError(
                f"beta_fast={self.beta_fast} must be above beta_slow={self.beta_slow}"
            )

    def frequencies(self, n: int, context: Context, original: Frequencies) -> Frequencies | None:
        """Return the original frequencies, slowed down by parts."""
        scale = context.scaling_factor
        inverse = yarn_frequencies(
            original.inverse, original.base, scale, context.original, self.beta_fast, self.beta_slow
        )
        return original.with_inverse(inverse, original.attention_factor * self._sharpening(scale))

    def _sharpening(self, scale: float) -> float:
        return self.attention_factor or 0.1 * math.log(scale) + 1.0

    def baked_rope(
        self, rope_parameters: dict[str, Any], width: int, context: Context
    ) -> dict[str, Any]:
        """Return the `yarn` type of transformers."""
        return {
            **rope_parameters,
            "rope_type": "yarn",
            "factor": float(context.scaling_factor),
            "original_max_position_embeddings": context.original,
            "beta_fast": self.beta_fast,
            "beta_slow": self.beta_slow,
            "attention_factor": self._sharpening(context.scaling_factor),
        }


def ntk_frequencies(inverse: Tensor, multiple: float) -> Tensor:
    """Compute the frequencies of a multiplied base: `theta_j * lambda^(-2j/d)`.

    Args:
        inverse: Shape (d / 2,): the original theta_j.
        multiple: lambda.

    Returns:
        Shape (d / 2,).
    """
    exponents = torch.arange(len(inverse), dtype=torch.float64, device=inverse.device)
    return (inverse.double() * multiple ** -(exponents / len(inverse))).float()


def paper_lambda(scale: float) -> float:
    """Return LongEmbed's lambda for s, log-linear around the three values of its table 6."""
    known = sorted(PAPER_LAMBDA)
    lower = max((s for s in known[:-1] if s <= scale), default=known[0])
    upper = known[known.index(lower) + 1]
    start, end = math.log(PAPER_LAMBDA[lower]), math.log(PAPER_LAMBDA[upper])
    share = (math.log(scale) - math.log(lower)) / (math.log(upper) - math.log(lower))
    return max(math.exp(start + share * (end - start)), 1.0)


def yarn_frequencies(
    inverse: Tensor,
    base: float,
    scale: float,
    original: int,
    beta_fast: float,
    beta_slow: float,
) -> Tensor:
    """Interpolate by parts (YaRN, equations 15 to 17).

    Args:
        inverse: Shape (d / 2,): the original theta_j.
        base: The rotary base.
        scale: s.
        original: L_o, in tokens.
        beta_fast: Rotations within L_o from which theta_j stays.
        beta_slow: Rotations within L_o up to which theta_j is divided by s.

    Returns:
        Shape (d / 2,).
    """
    width = 2 * len(inverse)

    def channel(rotations: float) -> float:
        """Where a frequency makes so many rotations within L_o."""
        return width * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(channel(beta_fast)), 0)
    high = min(math.ceil(channel(beta_slow)), width - 1)
    index = torch.arange(len(inverse), dtype=torch.float32, device=inverse.device)
    slowed = ((index - low) / max(high - low, 1e-3)).clamp(0, 1)
    return inverse * (1 - slowed) + inverse / scale * slowed
