"""The reader of each file format, chosen by the suffix of the file name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    from longembed_index.documents.parsed import Parsed

_LIBRARIES = ("lxml", "mammoth", "pptx", "pypdfium2", "webencodings", "yaml")


@dataclass(frozen=True)
class Reader:
    """A function that reads files of a format; its module is imported with the first file.

    Attributes:
        module: The name of a module in `longembed_index.documents.formats`.
        function: The name of the function in this module.
    """

    module: str
    function: str

    def __call__(self, data: bytes, **options: str) -> Parsed:
        """Read a file.

        Raises:
            InputError: If the file cannot be read.
            MissingExtraError: If a library is not installed.
        """
        with needs_extra("index", *_LIBRARIES):
            module = import_module(f"longembed_index.documents.formats.{self.module}")
            parsed: Parsed = getattr(module, self.function)(data, **options)
        return parsed


TEXT = Reader("plain", "read_text")
MARKDOWN_FILE = Reader("plain", "read_markdown")
JSON = Reader("plain", "read_json")
JSON_LINES = Reader("plain", "read_json_lines")
PDF = Reader("pdf", "read_pdf")
MAIL = Reader("mail", "read_mail")

_PLAIN = (
    # Files such as LICENSE have no suffix.
    *("", ".txt", ".text", ".rst", ".adoc", ".asciidoc", ".org", ".tex", ".srt", ".vtt"),
    *(".csv", ".tsv"),
    # Source code and configuration.
    *(".bash", ".bat", ".c", ".cc", ".cfg", ".clj", ".conf", ".cpp", ".cs", ".css", ".cxx"),
    *(".dart", ".erl", ".ex", ".exs", ".f90", ".go", ".graphql", ".h", ".hh", ".hpp", ".hs"),
    *(".ini", ".java", ".jl", ".js", ".jsx", ".kt", ".lua", ".m", ".mjs", ".php", ".pl", ".pm"),
    *(".proto", ".ps1", ".py", ".pyi", ".r", ".rb", ".rs", ".scala", ".scss", ".sh", ".sql"),
    *(".svelte", ".swift", ".toml", ".ts", ".tsx", ".vue", ".yaml", ".yml", ".zsh"),
)

READERS: dict[str, Reader] = {
    **dict.fromkeys(_PLAIN, TEXT),
    **dict.fromkeys((".md", ".markdown", ".mdx"), MARKDOWN_FILE),
    ".json": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    **dict.fromkeys((".html", ".htm", ".xhtml"), Reader("html", "read_html")),
    ".pdf": PDF,
    **dict.fromkeys((".docx", ".docm", ".dotx", ".dotm"), Reader("docx", "read_docx")),
    **dict.fromkeys(
        (".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), Reader("pptx", "read_pptx")
    ),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".xltm"), Reader("xlsx", "read_xlsx")),
    ".epub": Reader("epub", "read_epub"),
    ".ipynb": Reader("notebook", "read_notebook"),
    ".eml": MAIL,
}
"""The reader of each file name suffix, in lower case."""

_WITHOUT_PARSER = (TEXT, MARKDOWN_FILE)
"""The readers whose time and memory are in proportion to the size of the file."""

MARKDOWN = frozenset(
    suffix for suffix, reader in READERS.items() if reader not in (TEXT, JSON, JSON_LINES, MAIL)
)
"""The suffixes of files whose text is Markdown once they are read."""


def reader_of(suffix: str) -> Reader:
    """Return the reader of files with a suffix, which is that of plain text if it is unknown.

    Args:
        suffix: The suffix in lower case, with its dot.
    """
    return READERS.get(suffix, TEXT)


def is_parsed(suffix: str) -> bool:
    """Return whether files with a suffix need a parser, which may take much time and memory."""
    return reader_of(suffix) not in _WITHOUT_PARSER


def suffix_of(path: PurePath) -> str:
    """Return the suffix of a path in lower case."""
    return path.suffix.lower()
