"""How a command line ends, whatever happens in it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from command_line import longembed

from longembed_st.command import models
from longembed_st.errors import ModelError


@pytest.fixture
def ends_in(monkeypatch: pytest.MonkeyPatch):
    """Makes `longembed inspect` end in an error."""

    def prepare(error: BaseException) -> None:
        def fail(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(models, "_load", fail)

    return prepare


def test_an_error_ends_in_one_line(ends_in) -> None:
    for error, code, line in (
        (ModelError("no\x1b[2J model\nError: forged"), 1, r"no\x1b[2J model\nError: forged"),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device: 'x'"),
        (MemoryError(), 1, "not enough memory"),
        (
            ZeroDivisionError("\x1b"),
            3,
            r"ZeroDivisionError: \x1b. This is an error of",
        ),
    ):
        ends_in(error)
        ended = longembed("inspect", "x")
        assert (ended.exit_code, ended.stdout) == (code, "")
        assert ended.stderr.startswith("Error: ")
        assert line in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_an_interrupt_ends_quietly(ends_in) -> None:
    ends_in(KeyboardInterrupt())
    ended = longembed("inspect", "x")
    assert (ended.exit_code, ended.output) == (130, "")


def test_where_it_comes_from_is_shown_on_request(ends_in, monkeypatch) -> None:
    ends_in(ZeroDivisionError("why\x1b"))
    for arguments in (("--traceback", "inspect", "x"), ("inspect", "x", "--traceback")):
        ended = longembed(*arguments)
        assert ended.exit_code == 3
        assert ended.stderr.startswith("Traceback (most recent call last):\n")
        assert "in fail\n    raise error\nZeroDivisionError: why\\x1b\n" in ended.stderr
    monkeypatch.setenv("LONGEMBED_TRACEBACK", "1")
    assert longembed("inspect", "x").stderr.startswith("Traceback")


def test_what_follows_two_dashes_is_no_option() -> None:
    ended = longembed("inspect", "--", "--traceback")
    assert ended.exit_code == 1
    assert "--traceback" in ended.stderr
    assert "Traceback (most" not in ended.stderr


def test_a_mistake_on_the_line_has_a_code_of_its_own() -> None:
    for arguments, message in (
        (("no\x1bcommand",), r"No such command 'no\x1bcommand'"),
        (("inspect", "x", "--no\x1bption"), r"--no\x1bption"),
        (("inspect",), "Missing argument"),
    ):
        ended = longembed(*arguments)
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert message in ended.stderr
        assert "--help'" in ended.stderr.splitlines()[0]


def test_without_a_command_the_help_is_shown() -> None:
    ended = longembed()
    assert ended.exit_code == 2
    assert "Usage:" in ended.output
    assert "Error" not in ended.output


def test_shells_complete_commands_and_options() -> None:
    for words, expected in (("longembed sea", "search"), ("longembed search --mod", "--mode")):
        done = subprocess.run(
            [sys.executable, "-c", "from longembed_st.command.app import main; main()"],
            env={
                **os.environ,
                "_LONGEMBED_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(words.count(" ")),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        assert expected in done.stdout.split()
