"""The one way to a terminal."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import longembed_st
from longembed_st.command.terminal import SafeStream, Terminal, print_json

HOSTILE = "[bold]a[/bold] :smile:\x1b[2J\nError: b\u202e\x07"
ESCAPED = r"[bold]a[/bold] :smile:\x1b[2J\nError: b\u202e\x07"


def printed(show) -> str:
    """What a forced terminal gets."""
    file = io.StringIO()
    show(Terminal(file=file, force_terminal=True, color_system=None, width=200))
    return file.getvalue()


def test_a_string_is_shown_as_it_is_in_one_line() -> None:
    assert printed(lambda terminal: terminal.say(HOSTILE)) == f"{ESCAPED}\n"
    assert printed(lambda terminal: terminal.print(HOSTILE)) == f"{ESCAPED}\n"
    assert printed(lambda terminal: terminal.say("long " * 100)) == "long " * 100 + "\n"


def test_cells_and_headings_are_strings_too() -> None:
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    assert printed(lambda terminal: terminal.print(table)).count(ESCAPED) == 3


def test_what_we_lay_out_keeps_its_lines_and_nothing_else() -> None:
    text = printed(lambda terminal: terminal.print(Text("one\ntwo\x1b[2J")))
    assert text == "one\ntwo\\x1b[2J\n"


def test_nothing_is_printed_past_the_terminal() -> None:
    root = Path(longembed_st.__file__).parent
    folders = [root, root.parent / "plugins", root.parent / "integrations"]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    assert len(files) > 100
    ways = {"print", "echo", "secho", "Console", "print_exception"}
    for file in files:
        if file.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else None
                if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                    # `console.print` is the terminal's own.
                    name = called.attr if called.value.id != "console" else None
                assert name not in ways, f"{file.name}, line {node.lineno}"


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_stream_that_cannot_write_notes_it_and_goes_on() -> None:
    stream = SafeStream(Full())
    assert stream.write("one") == 3
    assert stream.write("two") == 3
    stream.flush()
    assert isinstance(stream.problem, OSError)
    closed = io.StringIO()
    closed.close()
    stream = SafeStream(closed)
    stream.write("one")
    assert isinstance(stream.problem, ValueError)
    missing = SafeStream(None)
    assert (missing.write("one"), missing.problem) == (3, None)


COMMAND = [sys.executable, "-c", "from longembed_st.command.app import main; main()"]
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
UNBUFFERED = {**BUFFERED, "PYTHONUNBUFFERED": "1"}
both_ways = pytest.mark.parametrize("env", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])
"""What a stream still holds when Python ends is written then."""


def longembed(arguments: list[str], **options) -> subprocess.CompletedProcess:
    """A command in a process of its own."""
    return subprocess.run([*COMMAND, *arguments], text=True, timeout=600, check=False, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@both_ways
def test_a_full_disk_is_reported_once_and_has_an_exit_code(env) -> None:
    with open("/dev/full", "w") as full:
        ended = longembed(["--version"], stdout=full, stderr=subprocess.PIPE, env=env)
    assert ended.returncode == 4
    assert ended.stderr == (
        "Error: done, but the output could not be written: No space left on device\n"
    )


def test_a_reader_that_leaves_is_no_error() -> None:
    out, pipe = os.pipe()
    os.close(out)
    with os.fdopen(pipe, "w") as closed:
        ended = longembed(["--help"], stdout=closed, stderr=subprocess.PIPE, env=BUFFERED)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
def test_closed_streams_are_no_error() -> None:
    line = f'"$0" -c "{COMMAND[2]}" --version >&- 2>&-'
    ended = subprocess.run(
        ["sh", "-c", line, sys.executable], capture_output=True, text=True, timeout=600, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_names_that_the_encoding_lacks_are_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = longembed(["search", "q", "--store", "日本"], capture_output=True, env=environment)
    assert ended.returncode == 1
    assert r"there is no index in \u65e5\u672c" in ended.stderr


def test_json_is_readable_and_exact_wherever_it_is_printed(monkeypatch) -> None:
    value = "Größe 日本 \u202e \u009b \ud800 \x1b"
    for encoding, japan in (("utf-8", "日本"), ("latin-1", r"\u65e5\u672c")):
        raw = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding))
        print_json(value)
        sys.stdout.flush()
        written = raw.getvalue().decode(encoding)
        assert written.strip() == rf'"Größe {japan} \u202e \u009b \ud800 \u001b"'
        assert json.loads(written) == value
