"""The pieces of code in README, docs and docstrings."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("longembed_st", "plugins", "integrations")
# Its pieces are the files of a package, which its own test writes out and installs.
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "EXTENDING.md"),
]
_FENCE = re.compile(
    r"^( *)((?:<!-- not run.*? -->\n)*) *```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE
)
_NOT_RUN = re.compile(r"<!-- not run(?: \((.+?)\))?: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: The name of the file.
        language: What stands behind the fence.
        code: The text.
        not_run: Why the block is not run, or why its lines with a word are not, by word; "" for
            all lines. On the page it is `<!-- not run (WORD): REASON -->` above the block.
    """

    page: str
    language: str
    code: str
    not_run: dict[str, str]


def blocks(text: str, page: str = "") -> Iterator[Block]:
    """Yield the fenced blocks of a text."""
    for _, marks, language, code in _FENCE.findall(text):
        not_run = dict(_NOT_RUN.findall(marks))
        yield Block(page, language, textwrap.dedent(code), not_run)


def page_blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    return [block for page in PAGES for block in blocks(page.read_text("utf8"), page.name)]


def python_snippets() -> Iterator[tuple[str, str]]:
    """Yield name and code of each piece of Python."""
    for page in PAGES:
        python = [b for b in blocks(page.read_text("utf8")) if b.language == "python"]
        for number, block in enumerate(python):
            yield f"{page.stem.lower()}_{number}", block.code
    yield from docstring_snippets()


def docstring_snippets() -> Iterator[tuple[str, str]]:
    """Yield name and code of each piece of Python in a docstring."""
    for file in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for number, block in enumerate(blocks(ast.get_docstring(node) or "")):
                    if block.language == "python":
                        name = getattr(node, "name", "module").strip("_").lower()
                        place = f"{file.parent.name}_{file.stem.strip('_')}_{name}_{number}"
                        yield place, block.code


def shell_lines() -> Iterator[tuple[str, str, str | None]]:
    """Yield page, text and the reason not to run it, of each command with its lines joined."""
    for block in page_blocks():
        if block.language == "bash":
            for line in block.code.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    words = shlex.split(line, comments=True)
                    reasons = [why for word, why in block.not_run.items() if word in ("", *words)]
                    yield block.page, line, reasons[0] if reasons else None
