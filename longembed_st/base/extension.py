"""How a model reads long texts: the settings of an extension."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from typing_extensions import Self

from longembed_st.base.fields import UNSET, one_line, setting
from longembed_st.errors import ConfigError
from longembed_st.positions.method import Context, Method, get_method

AUTO = "auto"
"""The method that stands for the best known one of the model's family."""

OverflowPolicy = Literal["warn", "error", "truncate"]
Scalar = bool | int | float | str | None

_OPTIONS = "options"
"""How saved models, and the first version, name the options of the method."""

LARGEST_WINDOW = 2**24
"""Tokens. About 64 MB of English text in one pass: past this, a number is a typing error."""

DEFAULT_TOKEN_BUDGET = 8192
"""Tokens in one forward pass of the model. Small enough to stay in a CPU's caches."""


class ExtensionConfig(BaseModel):
    """How a model reads texts that are longer than its original window.

    All lengths are in tokens of the model's own tokenizer, special tokens counted. Of an extended
    model every field has a value: "auto" and the defaults are resolved once, when it is extended.

    Attributes:
        method: Name of the extension method, one of `longembed_st.methods()`, or "auto".
        max_seq_length: The extended window, L_t, or None where the method has no upper length.
        original_max_seq_length: The original window, L_o. Texts up to this length get exactly the
            vector of the unmodified model.
        logn_scaling: Multiply the attention logits of a text of n tokens by
            `max(1, log n / log L_o)` (LongEmbed, appendix B).
        on_overflow: What happens to a text that is longer than the extended window: "warn" once per
            encode call and read its beginning, "error", or "truncate" silently.
        token_budget: Most tokens in one forward pass, padding included. Bounds the memory; does not
            change vectors. A single pass that is longer runs alone.
        combine: Of a CrossEncoder alone, how the scores of a document's windows become one: "max",
            the default, "mean", "first" or "logsumexp".
        method_options: The method's own options, by name; as arguments, they may also stand
            among the other settings.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    method: str = setting(
        AUTO, "Extension method, or 'auto'. `longembed inspect MODEL` lists them."
    )
    max_seq_length: int | None = setting(
        None,
        "Extended window in tokens: the most that is read of a text.",
        default_text="the method's own",
        ge=4,
        le=LARGEST_WINDOW,
    )
    original_max_seq_length: int | None = setting(
        None,
        "Original window in tokens: what the model reads unextended.",
        default_text="the model's own",
        ge=4,
        le=LARGEST_WINDOW,
    )
    logn_scaling: bool = setting(
        False, "Scale attention logits with the logarithm of the text's length.", default_text="off"
    )
    on_overflow: OverflowPolicy = setting(
        "warn",
        "Texts longer than can be read: name them, refuse them, or cut them silently.",
        affects_vectors=False,
    )
    token_budget: int = setting(
        DEFAULT_TOKEN_BUDGET,
        "Most tokens in one forward pass. Bounds the memory.",
        affects_vectors=False,
        option=False,
        ge=1,
    )
    combine: Literal["max", "mean", "first", "logsumexp"] | None = setting(
        None,
        "Of a cross-encoder: how the scores of a document's windows become one.",
        default_text="max",
        affects_vectors=False,
        option=False,
    )
    method_options: dict[str, Scalar] = setting(dict, "The method's own options, by name.")

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigError(one_line(error)) from None

    def __repr_args__(self) -> Any:
        return [(name, getattr(self, name)) for name in self.explicit]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Take what is not a field for an option of the method, which knows its own."""
        if not isinstance(data, dict):
            return data
        known = {field.alias for field in cls.model_fields.values()} | cls.model_fields.keys()
        unknown = {name: data[name] for name in data if name not in known}
        if not unknown:
            return data
        fields = {name: value for name, value in data.items() if name in known}
        options = unknown.pop(_OPTIONS, None) or fields.get("method_options") or {}
        if not isinstance(options, dict):
            raise ValueError(f"{_OPTIONS}={options!r} is not a mapping of names to values")
        return {**fields, "method_options": {**options, **unknown}}

    @field_validator("token_budget", mode="before")
    @classmethod
    def _none_is_the_default(cls, value: Any) -> Any:
        return DEFAULT_TOKEN_BUDGET if value is None else value

    @model_validator(mode="after")
    def _windows_are_ordered(self) -> Self:
        extended, original = self.max_seq_length, self.original_max_seq_length
        if extended is not None and original is not None and extended < original:
            raise ValueError(
                f"max_seq_length={extended} is below the model's original window of {original} "
                "tokens: extension only makes it longer. Leave max_seq_length out, or give at "
                f"least {original}"
            )
        return self

    @classmethod
    def from_keywords(cls, **keywords: Any) -> Self:
        """Make settings of the arguments of `extend`; those that are `UNSET` count as not given.

        Raises:
            ConfigError: If one is out of range.
        """
        return cls(**{name: value for name, value in keywords.items() if value is not UNSET})

    def saved(self) -> dict[str, Any]:
        """Return the settings in the form of saved models, which the class accepts again."""
        fields = {name: getattr(self, name) for name in ExtensionConfig.model_fields}
        options = fields.pop("method_options")
        if self.combine is None:
            # Earlier versions do not know this setting.
            del fields["combine"]
        return {**fields, _OPTIONS: options}

    @property
    def explicit(self) -> dict[str, Any]:
        """The settings that were given, explicit defaults included."""
        explicit = self.model_fields_set
        return {name: getattr(self, name) for name in self._names() if name in explicit}

    @classmethod
    def _names(cls) -> list[str]:
        """Return the fields of the settings themselves: an adapter that inherits them has more."""
        return list(ExtensionConfig.model_fields)

    def with_defaults(self, base: ExtensionConfig) -> Self:
        """Complete these settings with those of another object.

        The windows and options of one method mean nothing to another: if a different method is
        given, only the original window is taken over.
        """
        defaults = base.explicit
        if self.explicit.get("method", base.method) != base.method:
            others = defaults.keys() - ExtensionConfig.model_fields.keys()
            kept = {"original_max_seq_length"} | others
            defaults = {name: value for name, value in defaults.items() if name in kept}
        elif base.is_resolved:
            # Defaults are resolved again: they may depend on what is given.
            defaults = {**defaults, "method_options": base.changed_options()}
        own = self.explicit
        for name in ("method_options", "model_kwargs"):
            if name in own and name in defaults:
                own[name] = {**defaults[name], **own[name]}
        return type(self)(**{**defaults, **own})

    @property
    def is_resolved(self) -> bool:
        """Whether the method and its windows are known, so that its options can be resolved."""
        return self.method != AUTO and self.original_max_seq_length is not None

    @property
    def context(self) -> Context:
        """The original and the extended window, as a method sees them."""
        assert self.original_max_seq_length is not None
        return Context(original=self.original_max_seq_length, extended=self.max_seq_length)

    def build_method(self) -> Method:
        """Instantiate the method with its options, their defaults resolved for the windows.

        Raises:
            ConfigError: If the method is unknown, an option is, or the two contradict the windows.
        """
        method_class = get_method(self.method)
        try:
            method = method_class(**self.method_options)
        except ValidationError as error:
            known = ", ".join(method_class.model_fields) or "none"
            if method_class.tied_to_checkpoint and not self.method_options:
                raise ConfigError(
                    f"method {self.method!r} is for checkpoints that were made for it, and needs "
                    f"its options ({known}). For others, leave the method out to have the best "
                    "known one chosen, or see those it takes: `longembed inspect MODEL`"
                ) from None
            raise ConfigError(
                f"method {self.method!r}: {one_line(error)} (its options: {known})"
            ) from None
        method.check(self.context)
        return method.resolved(self.context)

    def resolved(self) -> Self:
        """Return the settings with the method's options in full.

        Raises:
            ConfigError: For the same reasons as `build_method`.
        """
        fields = {name: getattr(self, name) for name in self._names()}
        options = self.build_method().model_dump()
        return type(self)(**{**fields, "method_options": dict(sorted(options.items()))})

    def changed_options(self) -> dict[str, Scalar]:
        """Return the method's options that differ from their defaults."""
        usual = get_method(self.method).usual_options(self.context)
        options = self.build_method().model_dump()
        return {
            name: value
            for name, value in options.items()
            if name not in usual or usual[name] != value
        }
