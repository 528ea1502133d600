"""The one description of an extended model: how it reads, which model it is, how that is loaded.

Everything that takes, keeps, compares or shows settings goes by the fields of `ModelSettings`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_st.positions.method import Context, Method

AUTO = "auto"
"""The method that stands for the best known one of the model's family."""

OverflowPolicy = Literal["warn", "error", "truncate"]
Scalar = bool | int | float | str | None

LOADING_ARGUMENTS = frozenset(
    {
        "activation_fn",
        "cache_folder",
        "config_kwargs",
        "default_prompt_name",
        "device",
        "local_files_only",
        "max_active_dims",
        "model_card_data",
        "model_kwargs",
        "num_labels",
        "processor_kwargs",
        "prompts",
        "revision",
        "similarity_fn_name",
        "token",
        "truncate_dim",
        "trust_remote_code",
        "use_auth_token",
    }
)
"""Of the classes of models, without the model; asking them would cost seconds of imports."""

_OPTIONS = "options"
"""How saved models, and the first version, name the options of the method."""

LARGEST_WINDOW = 2**24
"""Tokens. About 64 MB of English text in one pass: past this, a number is a typing error."""

DEFAULT_TOKEN_BUDGET = 8192
"""Tokens in one forward pass of the model. Small enough to stay in a CPU's caches."""


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET
"""What nobody gave: an explicit default is another thing, and overrides what was saved."""

CallableT = TypeVar("CallableT", bound=Callable[..., Any])


def setting(
    default: Any,
    description: str,
    *,
    default_text: str | None = None,
    affects_vectors: bool = True,
    option: bool = True,
    **constraints: Any,
) -> Any:
    """A field of the settings.

    Args:
        default: Its value if nobody gives one.
        description: What it is, for documentation and `--help`.
        default_text: In words, what holds if nobody gives one.
        affects_vectors: Whether another value may give other vectors.
        option: Whether commands have an option of its name.
        **constraints: Of pydantic, as `ge` and `le`.
    """
    facts: Any = {
        "default_text": default_text,
        "affects_vectors": affects_vectors,
        "option": option,
    }
    made = {"default_factory": default} if callable(default) else {"default": default}
    return Field(
        **made, frozen=True, description=description, json_schema_extra=facts, **constraints
    )


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
        method_options: The method's own options, by name; given, they may also stand beside the
            other settings.
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
        """Take what is no field for an option of the method, which knows its own."""
        if not isinstance(data, dict):
            return data
        taken = {field.alias for field in cls.model_fields.values()} | cls.model_fields.keys()
        loose = {name: data[name] for name in data if name not in taken}
        if not loose:
            return data
        fields = {name: value for name, value in data.items() if name in taken}
        options = loose.pop(_OPTIONS, None) or fields.get("method_options") or {}
        if not isinstance(options, dict):
            raise ValueError(f"{_OPTIONS}={options!r} is no mapping of names to values")
        return {**fields, "method_options": {**options, **loose}}

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
        """Settings as `extend` and `load` take them; `UNSET` is not given.

        Args:
            **keywords: Any of the fields, and options of the method.

        Raises:
            ConfigError: If one is out of range.
        """
        return cls(**{name: value for name, value in keywords.items() if value is not UNSET})

    def saved(self) -> dict[str, Any]:
        """The settings as saved models and reports have them; the class takes them back."""
        fields = {name: getattr(self, name) for name in ExtensionConfig.model_fields}
        options = fields.pop("method_options")
        if self.combine is None:
            # As versions wrote it that knew of none.
            del fields["combine"]
        return {**fields, _OPTIONS: options}

    @property
    def explicit(self) -> dict[str, Any]:
        """The settings that somebody gave, explicit defaults among them."""
        return {name: getattr(self, name) for name in self._names() if name in self._named()}

    def _named(self) -> set[str]:
        return self.model_fields_set

    @classmethod
    def _names(cls) -> list[str]:
        """The fields of the settings themselves: an adapter that inherits them has more."""
        base = ModelSettings if issubclass(cls, ModelSettings) else ExtensionConfig
        return list(base.model_fields)

    def with_defaults(self, base: ExtensionConfig) -> Self:
        """These settings where they were given, and those of another object elsewhere.

        The windows and options of one method mean nothing to another: if a different method is
        given, only the original window is taken over.

        Args:
            base: For instance the settings of a saved model, resolved or not.
        """
        below = base.explicit
        if self.explicit.get("method", base.method) != base.method:
            kept = {"original_max_seq_length"} | below.keys() - ExtensionConfig.model_fields.keys()
            below = {name: value for name, value in below.items() if name in kept}
        elif base.is_resolved:
            # Defaults are worked out anew: they may depend on what is given.
            below = {**below, "method_options": base.changed_options()}
        above = self.explicit
        for name in ("method_options", "model_kwargs"):
            if name in above and name in below:
                above[name] = {**below[name], **above[name]}
        return type(self)(**{**below, **above})

    # Of resolved settings.

    @property
    def is_resolved(self) -> bool:
        """Whether the method and its windows are settled, so that its options can be, too."""
        return self.method != AUTO and self.original_max_seq_length is not None

    @property
    def context(self) -> Context:
        """The original and the extended window, as a method sees them."""
        from longembed_st.positions.method import Context

        assert self.original_max_seq_length is not None
        return Context(original=self.original_max_seq_length, extended=self.max_seq_length)

    def build_method(self) -> Method:
        """Instantiate the method with its options, their defaults worked out for the windows.

        Raises:
            ConfigError: If the method is unknown, an option is, or the two contradict the windows.
        """
        from longembed_st.positions.method import get_method

        method_class = get_method(self.method)
        try:
            method = method_class(**self.method_options)
        except ValidationError as error:
            known = ", ".join(method_class.model_fields) or "none"
            if method_class.tied_to_checkpoint and not self.method_options:
                raise ConfigError(
                    f"method {self.method!r} is for checkpoints that were made for it, which bring "
                    f"its options ({known}) or need them said. For others, leave the method out to "
                    "have the best known one chosen, or see those that the model takes: "
                    "`longembed inspect MODEL`"
                ) from None
            raise ConfigError(
                f"method {self.method!r}: {one_line(error)} (its options: {known})"
            ) from None
        method.check(self.context)
        return method.resolved(self.context)

    def resolved(self, **found: Any) -> Self:
        """The settings with every field given, and the method's options in full.

        Args:
            **found: What "auto" and the defaults that depend on the model came to.

        Raises:
            ConfigError: As `build_method`.
        """
        fields = {name: getattr(self, name) for name in self._names()}
        settled = type(self)(**{**fields, **found})
        options = settled.build_method().model_dump()
        return settled.model_copy(update={"method_options": dict(sorted(options.items()))})

    def changed_options(self) -> dict[str, Scalar]:
        """The method's options that are not what they would be anyway."""
        from longembed_st.positions.method import get_method

        usual = get_method(self.method).usual_options(self.context)
        options = self.build_method().model_dump()
        return {
            name: value
            for name, value in options.items()
            if name not in usual or usual[name] != value
        }


class ModelSettings(ExtensionConfig):
    """Which model, how it reads, and how it is loaded: the keyword arguments of `load`.

    Attributes:
        model_name: Folder or Hugging Face hub name; None for a model that is loaded already.
        model_type: The class to load it as; None for that which the checkpoint names.
        device: Where to compute; None chooses.
        dtype: Numbers to compute in; None for single precision on a CPU, where half precision
            takes several times as long, and as the weights are stored elsewhere; "auto" always for
            the latter.
        backend: What computes: torch, or on a CPU OpenVINO; None for torch.
        prompts: Texts put before queries and documents, by name; None for the model's own.
        whitening: File that `longembed whiten` has written, or folder of the whitened model: built
            into the model when it is loaded.
        cache_folder: Where models from the hub are stored.
        model_kwargs: Further arguments of `SentenceTransformer`, by name: revision, token,
            model_kwargs, ...
    """

    model_name: str | None = setting(None, "Folder or Hugging Face hub name.", option=False)
    model_type: (
        Literal["SentenceTransformer", "SparseEncoder", "MultiVectorEncoder", "CrossEncoder"] | None
    ) = setting(
        None,
        "Class of sentence-transformers to load the model as.",
        default_text="the checkpoint's own",
        affects_vectors=False,
        option=False,
    )
    device: str | None = setting(
        None,
        "Where to compute: cpu, cuda, mps, ...",
        default_text="chosen",
        affects_vectors=False,
    )
    dtype: Literal["float32", "float16", "bfloat16", "auto"] | None = setting(
        None,
        "Numbers to compute in; auto: as the weights are stored.",
        default_text="float32 on a CPU, elsewhere auto",
        affects_vectors=False,
    )
    backend: Literal["torch", "openvino"] | None = setting(
        None,
        "What computes: torch; or on a CPU OpenVINO, which is faster.",
        default_text="torch",
        affects_vectors=False,
    )
    prompts: dict[str, str] | None = setting(
        None,
        "Texts put before queries and documents, by the names 'query' and 'document'.",
        default_text="the model's own",
    )
    whitening: str | None = setting(
        None,
        "Whitening to build into the model: a file, or the folder of a whitened model.",
        default_text="none",
    )
    cache_folder: str | None = setting(
        None, "Where models from the hub are stored.", affects_vectors=False, option=False
    )
    model_kwargs: dict[str, Any] = setting(
        dict, "Further arguments of SentenceTransformer: revision, truncate_dim, ...", option=False
    )

    @field_validator("model_name", "whitening", mode="before")
    @classmethod
    def _paths_are_names(cls, value: Any) -> Any:
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("model_kwargs")
    @classmethod
    def _arguments_exist(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value.keys() - LOADING_ARGUMENTS:
            raise ValueError(f"SentenceTransformer has no argument {name!r}")
        return value

    @model_validator(mode="after")
    def _engine_computes_it(self) -> Self:
        if self.backend == "openvino":
            if self.dtype not in (None, "float32", "bfloat16"):
                raise ValueError(
                    "backend='openvino' computes in dtype='float32' or 'bfloat16', not "
                    f"{self.dtype!r}"
                )
            if self.device not in (None, "cpu"):
                raise ValueError(
                    f"backend='openvino' computes on device='cpu', not {self.device!r}; torch does"
                )
        return self

    @model_validator(mode="before")
    @classmethod
    def _gather_arguments(cls, data: Any) -> Any:
        """Move further arguments of SentenceTransformer into `model_kwargs`."""
        fields = cls.model_fields.keys()
        if not isinstance(data, dict) or data.keys() <= fields:
            return data
        loose = {k: v for k, v in data.items() if k not in fields and k in LOADING_ARGUMENTS}
        rest = {name: value for name, value in data.items() if name not in loose}
        given = data.get("model_kwargs") or {}
        return {**rest, "model_kwargs": {**given, **loose} if isinstance(given, dict) else given}

    @classmethod
    def from_keywords(cls, **keywords: Any) -> Self:
        """Settings as `load` takes them; `UNSET` is not given.

        Args:
            **keywords: Any of the fields, arguments of `SentenceTransformer`, options of the
                method. `model_kwargs` is here the argument that `SentenceTransformer` has.

        Raises:
            ConfigError: If one is out of range.
        """
        keywords = {name: value for name, value in keywords.items() if value is not UNSET}
        if keywords.get("model_kwargs") is not None:
            keywords["model_kwargs"] = {"model_kwargs": keywords["model_kwargs"]}
        if keywords.get("device") is not None:
            # Also a torch.device.
            keywords["device"] = str(keywords["device"])
        return super().from_keywords(**keywords)

    def keywords(self) -> dict[str, Any]:
        """The keyword arguments of `load`, as far as they were given."""
        given = self.explicit
        given.pop("model_name", None)
        return {**given.pop("method_options", {}), **given.pop("model_kwargs", {}), **given}

    def loading_arguments(self) -> dict[str, Any]:
        """The keyword arguments of `SentenceTransformer`, as far as they were given."""
        own = ModelSettings.model_fields.keys() - ExtensionConfig.model_fields.keys()
        given = {name: value for name, value in self.explicit.items() if name in own}
        for ours in ("model_name", "model_type", "whitening", "backend"):
            given.pop(ours, None)
        rest = given.pop("model_kwargs", {})
        dtype = given.pop("dtype", None)
        if self.backend == "openvino":
            given["device"] = "cpu"
        # Single precision is widened to after loading, which tells what the weights were stored in.
        elif dtype not in (None, "float32"):
            rest = {**rest, "model_kwargs": {**(rest.get("model_kwargs") or {}), "dtype": dtype}}
        # Given as None, these would replace what the model was saved with.
        return {**rest, **{name: value for name, value in given.items() if value is not None}}

    def differences(self, now: ModelSettings) -> list[str]:
        """Name each setting that would give other vectors.

        Args:
            now: The settings to compare with these, which are the stored ones.

        Returns:
            One phrase a differing setting, in a fixed order.
        """
        old, new = self.comparable(), now.comparable()
        return [
            f"{name} is {old.get(name)!r} in the store, {new.get(name)!r} now"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]

    def comparable(self) -> dict[str, Any]:
        """What vectors depend on, by name, whether defaults were spelled out or not."""
        fields = {
            name: getattr(self, name)
            for name in self._names()
            if field_info(name)["affects_vectors"]
            and name not in ("method_options", "model_kwargs")
        }
        if self.backend == "openvino" and self.dtype not in (None, "float32"):
            fields["computed in"] = f"{self.dtype} by openvino"
        options = self.method_options
        # Options that do not fit are compared as they are; whoever loads the model refuses them.
        with suppress(ConfigError):
            options = self.build_method().model_dump() if self.is_resolved else options
        return {**fields, **options, **self.model_kwargs}


def field_info(name: str) -> dict[str, Any]:
    """What `setting` was told of a field.

    Args:
        name: The field.
    """
    facts = ModelSettings.model_fields[name].json_schema_extra
    assert isinstance(facts, dict)
    return facts


def takes_settings(kind: type[ExtensionConfig]) -> Callable[[CallableT], CallableT]:
    """Show the settings in the signature of a function that takes them as keywords.

    Args:
        kind: Whose fields these are.
    """

    def decorate(function: CallableT) -> CallableT:
        own = inspect.signature(function)
        first = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        named = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
                annotation=field.annotation,
            )
            for name, field in kind.model_fields.items()
            if name not in {"model_name", "method", "method_options", "model_kwargs"}
        ]
        options = inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD, annotation=Any)
        signature = own.replace(parameters=[*first, *named, options])
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return decorate


def one_line(error: ValidationError) -> str:
    """What pydantic found wrong, in one line.

    Args:
        error: Of a model whose fields a user has filled.
    """
    problems = []
    for detail in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        problems.append(f"{where}={detail['input']!r}: {message}" if where else message)
    return "; ".join(problems)
