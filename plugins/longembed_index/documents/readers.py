"""The reader of each file format, chosen by the suffix of the file name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath

from longembed_index.documents.formats.docx import read_docx
from longembed_index.documents.formats.epub import read_epub
from longembed_index.documents.formats.html import read_html
from longembed_index.documents.formats.mail import read_mail
from longembed_index.documents.formats.notebook import read_notebook
from longembed_index.documents.parsed import Parsed
from longembed_index.documents.formats.pdf import read_pdf
from longembed_index.documents.formats.plain import read_json, read_json_lines, read_markdown, read_text
from longembed_index.documents.formats.pptx import read_pptx
from longembed_index.documents.formats.xlsx import read_xlsx

_PLAIN = (
    # LICENSE and README have none.
    *("", ".txt", ".text", ".rst", ".adoc", ".asciidoc", ".org", ".tex", ".srt", ".vtt"),
    *(".csv", ".tsv"),
    # Source code, and what stands beside it.
    *(".bash", ".bat", ".c", ".cc", ".cfg", ".clj", ".conf", ".cpp", ".cs", ".css", ".cxx"),
    *(".dart", ".erl", ".ex", ".exs", ".f90", ".go", ".graphql", ".h", ".hh", ".hpp", ".hs"),
    *(".ini", ".java", ".jl", ".js", ".jsx", ".kt", ".lua", ".m", ".mjs", ".php", ".pl", ".pm"),
    *(".proto", ".ps1", ".py", ".pyi", ".r", ".rb", ".rs", ".scala", ".scss", ".sh", ".sql"),
    *(".svelte", ".swift", ".toml", ".ts", ".tsx", ".vue", ".yaml", ".yml", ".zsh"),
)

READERS: dict[str, Callable[[bytes], Parsed]] = {
    **dict.fromkeys(_PLAIN, read_text),
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".mdx": read_markdown,
    ".json": read_json,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
    ".pdf": read_pdf,
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), read_docx),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), read_pptx),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), read_xlsx),
    ".epub": read_epub,
    ".ipynb": read_notebook,
    ".eml": read_mail,
}
"""The reader of each file name suffix, in lower case."""

_AT_ONCE = (read_text, read_markdown)
"""These take no more than the file itself."""

MARKDOWN = frozenset(
    suffix
    for suffix, reader in READERS.items()
    if reader not in (read_text, read_json, read_json_lines, read_mail)
)
"""The suffixes whose texts are Markdown."""


def reader_of(suffix: str) -> Callable[[bytes], Parsed]:
    """Return the reader of a file; a file of unknown type is read as plain text.

    Args:
        suffix: In lower case, with its dot.
    """
    return READERS.get(suffix, read_text)


def is_parsed(suffix: str) -> bool:
    """Return whether files of a suffix are read by a parser, which may take any time and memory.

    Args:
        suffix: In lower case, with its dot.
    """
    return reader_of(suffix) not in _AT_ONCE


def suffix_of(path: PurePath) -> str:
    """Return the suffix of a path in lower case, by which its reader is chosen."""
    return path.suffix.lower()
