"""The `longembed` command: its own commands, and those that other packages bring.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import typer

from longembed_st.command.inspecting import bake, inspect
from longembed_st.errors import LongEmbedError

COMMAND_GROUP = "longembed_st.commands"

app = typer.Typer(
    name="longembed",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Read long documents with existing text-embedding models: inspect a model, index whole "
    "documents, search them, write an extended model as a plain folder.",
)


def _in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """End a command on a user's mistake with one line and exit code 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LongEmbedError as error:
            typer.secho(f"Error: {error}", fg="red", err=True)
            raise typer.Exit(1) from None

    return run


def _register_commands() -> None:
    for command in (inspect, bake):
        app.command(command.__name__)(_in_one_line(command))
    for entry_point in sorted(entry_points(group=COMMAND_GROUP), key=lambda e: e.name):
        try:
            command = entry_point.load()
        except (ImportError, AttributeError) as error:
            print(f"longembed: command {entry_point.name!r} is broken: {error}", file=sys.stderr)
            continue
        app.command(entry_point.name)(_in_one_line(command))


def main() -> None:
    """Run the command line."""
    app()


_register_commands()
