"""The pieces of code in README, docs and docstrings."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("longembed_st", "plugins", "integrations")
# Its pieces are the files of a package, which its own test writes out and installs.
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "EXTENDING.md"),
]
_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a text that are in a language."""
    return [textwrap.dedent(code) for _, kind, code in _FENCE.findall(text) if kind == language]


def python_snippets() -> Iterator[tuple[str, str]]:
    """Name and code of each piece of Python."""
    for page in PAGES:
        for number, code in enumerate(blocks(page.read_text("utf8"), "python")):
            yield f"{page.stem.lower()}_{number}", code
    for file in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for number, code in enumerate(blocks(ast.get_docstring(node) or "", "python")):
                    name = getattr(node, "name", "module").strip("_").lower()
                    yield f"{file.parent.name}_{file.stem.strip('_')}_{name}_{number}", code


def shell_lines() -> Iterator[tuple[str, str]]:
    """Page and text of each command, its continued lines joined and its comment kept."""
    for page in PAGES:
        for block in blocks(page.read_text("utf8"), "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield page.name, line
