"""Options that several commands share, and the method options among them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from longembed_st.errors import ConfigError

DeviceOption = Annotated[
    str | None, typer.Option(help="Where to compute: cpu, cuda, mps, ...", show_default="chosen")
]
QueryPromptOption = Annotated[
    str | None, typer.Option(help="Text put before each query.", show_default="the model's")
]
DocumentPromptOption = Annotated[
    str | None, typer.Option(help="Text put before each document.", show_default="the model's")
]


def parse_option(text: str) -> tuple[str, Any]:
    """Read `overlap=16` as a name and a JSON value; what is no JSON is a string.

    Args:
        text: As typed behind `--option`.

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
