"""The one description of an extension: validated, immutable, JSON-serialisable."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from longembed_st.errors import ConfigError
from longembed_st.method import Context, Method, get_method

OverflowPolicy = Literal["warn", "error", "truncate"]

LARGEST_WINDOW = 2**24
"""Tokens. About 64 MB of English text in one pass: past this, a number is a typing error."""

DEFAULT_TOKEN_BUDGET = 8192
"""Tokens in one forward pass of the model. Small enough to stay in a CPU's caches."""


class ExtensionConfig(BaseModel):
    """How a model reads texts that are longer than its original window.

    All lengths are in tokens of the model's own tokenizer, special tokens counted.

    Attributes:
        method: Name of the extension method, one of `longembed_st.methods()`.
        original_max_seq_length: The original window, L_o. Texts up to this length get exactly the
            vector of the unmodified model.
        max_seq_length: The extended window, L_t, or None where the method has no upper length.
        logn_scaling: Multiply the attention logits of a text of n tokens by
            `max(1, log n / log L_o)` (LongEmbed, appendix B).
        on_overflow: What happens to a text that is longer than the extended window: "warn" once per
            encode call and read its beginning, "error", or "truncate" silently.
        token_budget: Most tokens in one forward pass, padding included. Bounds the memory; does not
            change vectors. A single text or window that is longer runs alone.
        options: The method's own options, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    method: str
    original_max_seq_length: int = Field(ge=4, le=LARGEST_WINDOW)
    max_seq_length: int | None = Field(default=None, ge=4, le=LARGEST_WINDOW)
    logn_scaling: bool = False
    on_overflow: OverflowPolicy = "warn"
    token_budget: int = Field(default=DEFAULT_TOKEN_BUDGET, ge=1)
    options: dict[str, bool | int | float | str | None] = Field(default_factory=dict)

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(_one_line(error)) from None

    @model_validator(mode="after")
    def _windows_are_ordered(self) -> ExtensionConfig:
        if self.max_seq_length is not None and self.max_seq_length < self.original_max_seq_length:
            raise ValueError(
                f"max_seq_length={self.max_seq_length} is below the model's original window of "
                f"{self.original_max_seq_length} tokens: extension only makes it longer. "
                f"Leave max_seq_length out, or give at least {self.original_max_seq_length}"
            )
        return self

    @property
    def context(self) -> Context:
        """The original and the extended window, as a method sees them."""
        return Context(original=self.original_max_seq_length, extended=self.max_seq_length)

    def build_method(self) -> Method:
        """Instantiate the method with its options.

        Raises:
            ConfigError: If the method is unknown, an option is, or the two contradict the windows.
        """
        method_class = get_method(self.method)
        try:
            method = method_class(**self.options)
        except ValidationError as error:
            known = ", ".join(method_class.model_fields) or "none"
            raise ConfigError(
                f"method {self.method!r}: {_one_line(error)} (its options: {known})"
            ) from None
        method.check(self.context)
        return method


def _one_line(error: ValidationError) -> str:
    problems = []
    for detail in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        problems.append(f"{where}={detail['input']!r}: {message}" if where else message)
    return "; ".join(problems)
