"""A picture of a terminal: a command and what it prints, in colour.

    python benchmarks/terminal_picture.py OUT.svg longembed search "a question" --store ./store

docs/images/search.svg was made so, of five books from Project Gutenberg as text files whose pages
of 1,800 characters end with form feeds.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 100


def main() -> None:
    """Run the command and draw."""
    out, *command = sys.argv[1:]
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.assemble(("$ ", "bold green"), shlex.join(command)))
    console.print(Text.from_ansi(done.stdout.rstrip()))
    drawn = console.export_svg(title="longembed")
    # Whoever looks at it has a monospaced font, and need not fetch one.
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    lines = [line.rstrip() for line in drawn.splitlines()]
    Path(out).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
