"""The help of a command: its options in groups, those that most people need first, examples last.

A command has its examples in the last paragraph of its docstring, "Example: `longembed ...`".
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

FIRST = "Options"
INPUT, MODEL, STORE, OUTPUT, ADVANCED = "Input", "Model", "Store", "Output", "Advanced"
"""Groups of options; an option is put into one by `rich_help_panel`, or else is among the first."""

_GROUPS = ("Arguments", FIRST, INPUT, MODEL, STORE, OUTPUT, ADVANCED)
_EXAMPLE = re.compile(r"\n\nExamples?: (.*)", re.DOTALL)
_COMMAND = re.compile(r"`([^`]+)`")


class GroupedCommand(TyperCommand):
    """A command whose help has its options in groups, and its examples at the end."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does."""
        text = self.help
        self.help = _EXAMPLE.sub("", text or "")
        try:
            super().format_help_text(ctx, formatter)
        finally:
            self.help = text

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, and the options by group."""
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in _GROUPS}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                is_argument = parameter.param_type_name == "argument"
                group = getattr(parameter, "rich_help_panel", None) or FIRST
                groups[_GROUPS[0] if is_argument else group].append(row)
        for name, rows in groups.items():
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, a line each."""
        match = _EXAMPLE.search(self.help or "")
        if match:
            with formatter.section("Examples"):
                for line in _COMMAND.findall(match[1]):
                    # Not wrapped, so that it can be copied.
                    formatter.write(f"  {' '.join(line.split())}\n")
