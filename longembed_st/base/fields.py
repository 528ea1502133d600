"""How a setting is declared, and how functions show that they take the settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import Field, ValidationError

if TYPE_CHECKING:
    from longembed_st.base.extension import ExtensionConfig


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET
"""The value of an argument that was not given. An explicit default overrides what was saved."""

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
    """Declare a field of the settings.

    Args:
        default: Its default value.
        description: What it is, for documentation and `--help`.
        default_text: The default in words.
        affects_vectors: Whether another value may give other vectors.
        option: Whether commands have an option of its name.
        **constraints: Of pydantic, as `ge` and `le`.
    """
    info: Any = {
        "default_text": default_text,
        "affects_vectors": affects_vectors,
        "option": option,
    }
    defaults = {"default_factory": default} if callable(default) else {"default": default}
    return Field(
        **defaults, frozen=True, description=description, json_schema_extra=info, **constraints
    )


def takes_settings(kind: type[ExtensionConfig]) -> Callable[[CallableT], CallableT]:
    """Show the settings in the signature of a function that takes them as keywords."""

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
    """Describe what pydantic found wrong, in one line."""
    problems = []
    for detail in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        problems.append(f"{where}={detail['input']!r}: {message}" if where else message)
    return "; ".join(problems)
