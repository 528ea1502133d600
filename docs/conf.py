"""How the site is built: `make docs`."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
COMMANDS = "commands.md"
"""A page that is made of what the commands say of themselves."""

# Here, and not by autodoc, which sets TYPE_CHECKING: classes of pydantic do not stand that.
for name in (
    "chroma_longembed",
    "lancedb_longembed.embedding_function",
    "langchain_longembed.compressors",
    "langchain_longembed.retrievers",
    "haystack_integrations.components.embedders.longembed",
    "haystack_integrations.components.retrievers.longembed",
    "llama_index.embeddings.longembed",
    "llama_index.postprocessor.longembed",
    "llama_index.retrievers.longembed",
    "longembed_index.index",
    "longembed_index.rows",
    "longembed_serve.application",
    "longembed_st.loading.bake",
    "longembed_tuning.whiten",
):
    import_module(name)

project = "longembed-st"
author = "The longembed-st authors"
release = metadata.version("longembed-st")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"longembed-st {release}"

# Docstrings are Google's, with `names` between single backticks.
default_role = "code"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_include_init_with_doc = False

_FENCE = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def _blocks(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn fenced code in a docstring into what Sphinx takes for code."""

    def block(found: re.Match[str]) -> str:
        indent = found[1]
        code = "\n".join(f"    {line}" if line.strip() else "" for line in found[2].splitlines())
        return f"{indent}.. code-block:: python\n\n{code}\n"

    lines[:] = _FENCE.sub(block, "\n".join(lines)).split("\n")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_commands(app: Sphinx) -> None:
    """Write the page of the commands, with every option and what it does."""
    import typer

    from longembed_st.command import app as command_line

    if not command_line.app.registered_commands:
        command_line._register_commands()
    group = typer.main.get_command(command_line.app)
    pages = [
        "# Commands\n",
        "Each has `--help`. Options of the whole line: `--version`, `--traceback`.\n",
    ]
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        pages += [f"## longembed {name}\n", (command.help or "").strip() + "\n"]
        rows = []
        for parameter in command.params:
            options = (*parameter.opts, *parameter.secondary_opts)
            names = " / ".join(f"`{option}`" for option in options)
            if parameter.param_type_name == "argument":
                names = f"`{parameter.metavar or parameter.name.upper()}`"
            rows.append(f"| {names} | {_cell(getattr(parameter, 'help', '') or '')} |")
        pages.append("\n".join(["| | |", "|---|---|", *rows]) + "\n")
    text = "\n".join(pages)
    page = Path(app.srcdir) / COMMANDS
    if not page.exists() or page.read_text(encoding="utf8") != text:
        page.write_text(text, encoding="utf8")


def setup(app: Sphinx) -> None:
    """Write the page of the commands before Sphinx reads the pages."""
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-process-docstring", _blocks)
