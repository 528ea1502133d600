"""Options that several commands share; those of the settings are made from `ModelSettings`."""

from __future__ import annotations

import functools
import inspect
import json
import os
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel

from longembed_st.base.settings import ModelSettings, field_info
from longembed_st.base.settings_file import SettingsFile
from longembed_st.command.help import ADVANCED, MODEL
from longembed_st.errors import ConfigError

Command = Callable[..., None]
_COMMON = ("method", "max_seq_length", "device")
"""Settings that many people choose; the others are among the advanced options."""


def option_of(name: str, kind: type[BaseModel] = ModelSettings) -> Any:
    """Make the type of a command's parameter from one of the settings; None if it is not given.

    Args:
        name: A field, declared by `longembed_st.base.fields.setting`.
        kind: The settings that have it.
    """
    field = kind.model_fields[name]
    info: Any = field.json_schema_extra
    declarations: list[str] = []
    metavar = None
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        metavar, annotation = "|".join(get_args(annotation)), str
    if annotation is bool:
        flag = name.replace("_", "-")
        declarations = [f"--{flag}/--no-{flag}"]
    if get_origin(annotation) not in (Union, types.UnionType):
        annotation = annotation | None
    option = typer.Option(
        *declarations,
        help=field.description,
        show_default=info["default_text"] or str(field.default),
        metavar=metavar,
        rich_help_panel=MODEL if name in _COMMON else ADVANCED,
    )
    return Annotated[annotation, option]


ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Folder of a model, or its name on the Hugging Face hub.", show_default=False
    ),
]
DeviceOption = option_of("device")
DtypeOption = option_of("dtype")
BackendOption = option_of("backend")
QueryPromptOption = Annotated[
    str | None,
    typer.Option(
        help="Text put before each query.", show_default="the model's", rich_help_panel=MODEL
    ),
]
DocumentPromptOption = Annotated[
    str | None,
    typer.Option(
        help="Text put before each document.", show_default="the model's", rich_help_panel=MODEL
    ),
]
_WindowSizeOption = Annotated[
    int | None,
    typer.Option(
        help="Tokens of a window (method pcw).",
        show_default="the original window",
        rich_help_panel=ADVANCED,
    ),
]
_MethodOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        "-o",
        metavar="K=V",
        help="Any further option of the method, for instance overlap=32. Repeatable.",
        rich_help_panel=ADVANCED,
    ),
]

_SPECIAL = {
    "query_prompt": QueryPromptOption,
    "document_prompt": DocumentPromptOption,
    "window_size": _WindowSizeOption,
    "option": _MethodOptions,
}
"""Options that are not a field of the settings of their own."""

_SETTINGS_OPTIONS = {
    name: option_of(name)
    for name in ModelSettings.model_fields
    if field_info(name)["option"] and name not in ("prompts", "method_options")
} | _SPECIAL


def path_argument(path: str | Path) -> Path:
    """Read a path; an empty one, which would mean the working folder, is a mistake."""
    text = os.fspath(path)
    if not text or "\0" in text:
        raise typer.BadParameter("this path is empty" if not text else f"{text!r} is not a path")
    return Path(text)


_FILE = "settings_file"
_SettingsFileOption = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        parser=path_argument,
        metavar="FILE",
        help="JSON file of settings, as `longembed calibrate` writes it; options go before it.",
        rich_help_panel=MODEL,
    ),
]


def with_settings(command: Command) -> Command:
    """Give a command an option for every setting, and one for a file of settings.

    Args:
        command: Has a parameter `settings`, which becomes the `ModelSettings` that were given, and
            perhaps `settings_file`, which becomes the `SettingsFile`, or None.
    """
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        options = {name: arguments.pop(name) for name in _SETTINGS_OPTIONS}
        path = arguments.pop(_FILE)
        file = None if path is None else SettingsFile.read(path)
        settings = settings_from_options(**options)
        if _FILE in own.parameters:
            arguments[_FILE] = file
        command(
            settings=settings if file is None else settings.with_defaults(file.model), **arguments
        )

    options = {**_SETTINGS_OPTIONS, _FILE: _SettingsFileOption}
    return with_options(run, own, options, "settings", _FILE)


def with_options(
    run: Command, command: inspect.Signature, options: Mapping[str, Any], *replaced: str
) -> Command:
    """Give a function the signature of a command, with options in the place of parameters.

    Args:
        run: Called with the options; it makes the parameters of them, and calls the command.
        command: The signature of the command.
        options: The types of the options by name; each is None if it is not given.
        *replaced: Names of parameters; the options stand where the first one stood.
    """
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in options.items()
    ]
    kept = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, p in command.parameters.items()
        if name not in replaced
    ]
    place = list(command.parameters).index(replaced[0])
    signature = command.replace(parameters=[*kept[:place], *parameters, *kept[place:]])
    run.__signature__ = signature  # type: ignore[attr-defined]
    run.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    return run


def settings_from_options(
    *,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    option: list[str] | None = None,
    **options: Any,
) -> ModelSettings:
    """Return the settings that a command was given.

    Raises:
        ConfigError: If one is malformed or out of range.
    """
    prompts = {"query": query_prompt, "document": document_prompt}
    prompts = {name: prompt for name, prompt in prompts.items() if prompt is not None}
    settings = {**options, "prompts": prompts or None}
    settings = {name: value for name, value in settings.items() if value is not None}
    return ModelSettings.from_keywords(**{**settings, **dict(map(parse_option, option or []))})


def parse_option(text: str) -> tuple[str, Any]:
    """Read `overlap=16` as a name and a JSON value; what is not JSON is a string.

    Raises:
        ConfigError: If it is not of the form name=value.
    """
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ConfigError(f"--option {text!r}: write name=value, for instance overlap=16")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or brackets thousands deep.
        raise ConfigError(f"--option {name}: {error}") from None
