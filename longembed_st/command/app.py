"""The `longembed` command: its own commands, those of other packages, and the exit codes.

Exit codes: 0 done; 1 failed, with the reason in one line; 2 a mistake on the command line; 3 an
unexpected error; 4 done, but the output could not be written; 130 interrupted; 143 ended by
SIGTERM.

Nothing heavy is imported before a command runs, so that `--help` is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from traceback import format_exc
from typing import Annotated, Any

import typer
from rich.text import Text

from longembed_st.command.help import GroupedCommand
from longembed_st.command.models import bake, inspect, models, save
from longembed_st.command.terminal import SafeStream, safe_streams, terminal
from longembed_st.errors import LongEmbedError

COMMAND_GROUP = "longembed_st.commands"
TRACEBACK = "--traceback"
TRACEBACK_VARIABLE = "LONGEMBED_TRACEBACK"

DONE, FAILED, MISUSED, UNEXPECTED, OUTPUT_LOST, INTERRUPTED = 0, 1, 2, 3, 4, 130

app = typer.Typer(
    name="longembed",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    # At 80 columns, rich cuts the names of options off; plain help breaks no word.
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
    help="Read long documents with existing text-embedding models: inspect a model, index whole "
    "documents, search them, write an extended model as a plain folder.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        terminal().say(f"longembed-st {version('longembed-st')}")
        raise typer.Exit


@app.callback()
def _global_options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(
            TRACEBACK,
            help="Show where an error comes from. Anywhere on the line, or as "
            f"{TRACEBACK_VARIABLE}=1 in the environment.",
        ),
    ] = False,
) -> None:
    """Options that stand before every command."""


def main() -> None:
    """Run the command line."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and report its errors.

    Returns:
        The exit code.
    """
    with safe_streams() as out:
        wanted, traceback = _without_traceback(arguments)
        try:
            if not app.registered_commands:
                _register_commands()
            code = app(wanted, prog_name="longembed", standalone_mode=False) or DONE
        except Exception as error:
            if traceback or os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0"):
                terminal(stderr=True).print(Text(format_exc()), soft_wrap=True)
            code = _report_error(error)
        out.flush()
        return _exit_code(code, out)


def _report_error(error: Exception) -> int:
    """Print an error in one line, and return the exit code."""
    # A usage error of click, whose class typer may have under another name.
    usage = getattr(error, "format_message", None)
    if usage is not None:
        return _refuse_usage(getattr(error, "ctx", None), usage())
    if isinstance(error, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    if isinstance(error, LongEmbedError | OSError | UnicodeEncodeError):
        return _fail(str(error), FAILED)
    if isinstance(error, MemoryError):
        return _fail("there is not enough memory for this", FAILED)
    return _fail(
        f"{type(error).__name__}: {error}. This is an error of longembed-st. Please report it, "
        f"with what the same command prints with {TRACEBACK}",
        UNEXPECTED,
    )


def _without_traceback(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return the arguments without `--traceback`, and whether it was among them."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != TRACEBACK]
    return [*options, *arguments[end:]], len(options) < end


def _refuse_usage(context: Any, message: str) -> int:
    if message.startswith("Usage: "):
        # Without a command, the message is the help.
        terminal().print(Text(message), soft_wrap=True)
        return MISUSED
    if context is not None:
        terminal(stderr=True).say(f"Try '{context.command_path} --help'.")
    return _fail(message, MISUSED)


def _fail(message: str, code: int) -> int:
    terminal(stderr=True).say(f"Error: {message}", style="red")
    return code


def _exit_code(code: int, out: SafeStream) -> int:
    """Return the exit code of a command whose output may have been lost."""
    # The reader of a pipe closes it when it has read enough.
    if out.problem is None or isinstance(out.problem, BrokenPipeError):
        return code
    reason = getattr(out.problem, "strerror", None) or out.problem
    return code or _fail(f"done, but the output could not be written: {reason}", OUTPUT_LOST)


def _register_commands() -> None:
    for command in (inspect, save, bake, models):
        app.command(command.__name__, cls=GroupedCommand)(command)
    for entry_point in sorted(entry_points(group=COMMAND_GROUP), key=lambda e: e.name):
        try:
            app.command(entry_point.name, cls=GroupedCommand)(entry_point.load())
        # A broken command of another package must not break the others.
        except Exception as error:
            _fail(f"the command {entry_point.name!r} is broken: {error}", FAILED)
