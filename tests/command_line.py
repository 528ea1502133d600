"""The whole command line inside the tests' process: what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from longembed_st.command.app import run


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def complaints(self) -> str:
        """What it printed beside its results, without the lines that say what it is doing."""
        doing = ("Found ", "Loading ")
        lines = self.stderr.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(doing))

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


def longembed(*arguments: object) -> Ended:
    """Run one command line."""
    # Commands silence transformers, which is not undone when a process ends with its command.
    logger = logging.getLogger("transformers")
    level = logger.level
    try:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            code = run([str(argument) for argument in arguments])
    finally:
        logger.setLevel(level)
    return Ended(code, out.getvalue(), err.getvalue())


def row(result: Ended, label: str) -> str:
    """The value beside a label in the closing table."""
    (line,) = [line for line in result.stdout.splitlines() if f"│ {label} " in line]
    return line.split("│")[2].strip()


def hits(result: Ended) -> list[str]:
    """The titles that a search printed as JSON."""
    assert result.exit_code == 0, result.stderr
    return [hit["title"] for hit in json.loads(result.stdout)]
