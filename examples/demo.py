"""Index whole documents with a short model, and find what lies far beyond its window.

The documents are those that every Python environment has: the long description of each installed
package. They are indexed twice, without chunks: by the model as it is, and extended. Then 45
questions are asked whose answers lie beyond the window of the model as it is (`questions.jsonl`;
they were written before any of them was asked). Every number is measured in this run, and nothing
is downloaded.

    python examples/demo.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from installed_packages import MODEL, installed_packages
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

import longembed_st as le
from longembed_index import Document, Hit, Index
from longembed_index.command.progress import embedding_bar

FIRST_FEW = 5
IN_DETAIL = 3
QUESTIONS = Path(__file__).with_name("questions.jsonl")


@dataclass(frozen=True)
class Question:
    """A question, the package whose document answers it, and where the answer begins, in tokens."""

    text: str
    package: str
    offset: int


def main() -> None:
    """Index, close, reopen, ask."""
    parser = argparse.ArgumentParser(description="Long documents through a short model.")
    parser.add_argument("--store", type=Path, default=Path("demo-store"), help="folder to keep")
    parser.add_argument("--packages", nargs="*", help="only these; default: all installed ones")
    arguments = parser.parse_args()
    disable_progress_bar()
    console = Console()
    packages = installed_packages(arguments.packages, licences=False)
    documents = [Document(name, text) for name, text in packages]
    console.print(
        f"[bold]{len(documents)} documents[/]: the long description of each installed package\n"
    )
    short, extended = arguments.store / "as-it-is", arguments.store / "extended"
    with Index.open(short, MODEL, method="none", on_overflow="truncate") as index:
        fill(index, "as it is", documents, console)
    with Index.open(extended, MODEL) as index:
        fill(index, f"extended by {index.model.settings.method}", documents, console)
        questions = list(read_questions(documents, index.model.model))
    console.print("Closed and reopened.\n")

    with Index.open(short) as as_it_is, Index.open(extended) as index:
        searches = {
            "as it is": (as_it_is, "dense"),
            "extended": (index, "dense"),
            "words": (index, "lexical"),
            "words and vectors": (index, "hybrid"),
        }
        ranks: dict[str, list[int]] = {}
        for name, (searched, mode) in searches.items():
            with console.status(f"Asking {len(questions)} questions: {name} ..."):
                ranks[name] = [
                    rank_of(question, searched, mode, len(documents)) for question in questions
                ]
        show_counts(console, ranks)
        for number, question in enumerate(questions[:IN_DETAIL]):
            own_ranks = ", ".join(f"{name} {ranks[name][number]}" for name in ranks)
            console.print(f"\n[bold]{question.text}[/]", highlight=False)
            console.print(
                f"answered in {question.package}, {question.offset:,} tokens in; its rank: "
                f"{own_ranks}",
                highlight=False,
            )
            hit = index.search(question.text, 1)[0]
            console.print(f"{hit.document.id}: {best_sentence(hit)}", markup=False, highlight=False)
    console.print(
        f"\nRanks are among {len(documents)} documents. Ask your own question:\n"
        f'  longembed search "a small web server" --store {extended}\n'
        f"or look at the documents in a browser:\n"
        f"  longembed serve --store {extended}",
        highlight=False,
    )


def fill(index: Index, name: str, documents: Sequence[Document], console: Console) -> None:
    """Index the documents, and say what was read."""
    with embedding_bar(console) as bar:
        report = index.add_documents(documents, on_outcome=bar.on_outcome, on_step=bar.on_step)
    counts = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    entries = list(index.documents())
    tokens, read = sum(e.tokens for e in entries), sum(e.tokens_read for e in entries)
    console.print(f"{name}: {counts} in {report.seconds:.0f} s; {read:,} of {tokens:,} tokens read")


def read_questions(
    documents: Sequence[Document], model: le.LongSentenceTransformer
) -> Iterator[Question]:
    """Yield the questions that one of the documents answers beyond the model's own window.

    Raises:
        SystemExit: If the model as it is would see an answer, so that it would prove nothing.
    """
    texts = {document.id: document.text for document in documents}
    for line in QUESTIONS.read_text("utf8").splitlines():
        row = json.loads(line)
        before, answer, _ = texts.get(row["package"], "").partition(row["answer"])
        if answer:
            offset = le.coverage(model, [before])[0].tokens
            if offset <= model.long_transformer.extension.context.original:
                raise SystemExit(f"the answer to {row['question']!r} lies at token {offset}")
            yield Question(row["question"], row["package"], offset)


def rank_of(question: Question, index: Index, mode: str, count: int) -> int:
    """Return the rank of the document that answers, the last one if it was not found."""
    hits = index.search(question.text, count, mode=mode, passages=0)
    ids = [name for hit in hits for name in (hit.document.id, *hit.copies)]
    return 1 + ids.index(question.package) if question.package in ids else count


def best_sentence(hit: Hit) -> str:
    """Return the sentence that answers, in one line."""
    start, end = hit.passages[0].sentence or (0, 0)
    return " ".join(hit.document.text[start:end].split())


def show_counts(console: Console, ranks: dict[str, list[int]]) -> None:
    """Print how many questions find their document."""
    count = len(next(iter(ranks.values())))
    table = Table(title=f"{count} questions: how many find their document", title_justify="left")
    table.add_column("by")
    table.add_column("first", justify="right")
    table.add_column(f"among the first {FIRST_FEW}", justify="right")
    for name, own_ranks in ranks.items():
        first, few = (sum(rank <= limit for rank in own_ranks) for limit in (1, FIRST_FEW))
        table.add_row(name, str(first), str(few))
    console.print(table)


if __name__ == "__main__":
    try:
        main()
    except le.LongEmbedError as error:
        raise SystemExit(f"Error: {error}") from None
