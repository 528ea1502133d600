"""The help of each command: groups of options, and examples at the end."""

from __future__ import annotations

import re

import pytest
import typer
from command_line import longembed

from longembed_st.command import app as command_line
from longembed_st.command.help import _GROUPS


@pytest.fixture(scope="module")
def commands() -> dict[str, typer.core.TyperCommand]:
    if not command_line.app.registered_commands:
        command_line._register_commands()
    return typer.main.get_command(command_line.app).commands


def sections(name: str) -> dict[str, list[str]]:
    """The lines of the help of a command, by heading."""
    result: dict[str, list[str]] = {"": []}
    lines = result[""]
    for line in longembed(name, "--help").stdout.splitlines():
        if heading := re.fullmatch(r"(\w+):", line):
            lines = result.setdefault(heading[1], [])
        else:
            lines.append(line)
    return result


def test_every_command_ends_with_examples(commands) -> None:
    for name in commands:
        *_, last = sections(name)
        assert last == "Examples", name
        examples = [line for line in sections(name)[last] if line.strip()]
        assert any(re.search(rf"longembed {name}\b", line) for line in examples), name


def test_the_first_options_are_few_and_the_others_in_groups() -> None:
    for name in ("index", "search", "reindex"):
        groups = sections(name)
        first = [line for line in groups["Options"] if re.match(r"  -", line)]
        # With --help.
        assert 3 <= len(first) <= 9
        assert [group for group in groups if group] == [
            group for group in (*_GROUPS, "Examples") if group in groups
        ]


def test_the_options_that_people_need_first() -> None:
    first = " ".join(sections("index")["Options"])
    assert set(re.findall(r"--[a-z-]+", first)) == {
        *("--store", "--model", "--meta", "--dry-run", "--watch", "--help", "--where")
    }


def test_each_option_is_in_one_group(commands) -> None:
    command = commands["index"]
    text = "\n".join("\n".join(lines) for lines in sections("index").values())
    for parameter in command.params:
        if parameter.param_type_name == "option":
            name = parameter.opts[0]
            assert len(re.findall(rf"(?m)^  (?:-\w, )?{name}\b(?!-)", text)) == 1, name
