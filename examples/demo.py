"""Whole documents in, answers out: a stock model finds what lies far beyond its window.

The documents are those that every Python environment has: the long description of each installed
package. They are indexed without chunks into stores on
disk: by the model as it is, extended, and extended and whitened. Then 45 questions are asked whose
answers lie beyond the window of the model as it is (`questions.jsonl`; they were written before any
of them was asked). Every number is measured in this run, and nothing is downloaded.

    python examples/demo.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from installed_packages import MODEL, installed_packages
from rich.console import Console
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

import longembed_st as le
from longembed_index.command.progress import file_bar
from longembed_index.embedding import Embed, document_embedder, storable_model
from longembed_index.finding import model_of_store
from longembed_index.hybrid import catch_up, question_of, search_hybrid
from longembed_index.ingestion import ingest
from longembed_index.lexical import WordFile
from longembed_index.opening import COLLECTION, open_store, read_provenance
from longembed_index.passages import DocumentHit, with_best_sentence
from longembed_index.searching import search
from longembed_index.sources import TextSource
from longembed_st.base.coverage import Encoded
from longembed_st.command.display import document_bar
from longembed_st.loading.cache import CachedModel

if TYPE_CHECKING:
    from longembed_index.store import Store

WINDOW = 4096
FIRST_FEW = 5
IN_DETAIL = 3
QUESTIONS = Path(__file__).with_name("questions.jsonl")
EXTENDED = le.ModelSettings(model_name=MODEL, max_seq_length=WINDOW)
AS_IT_IS = le.ModelSettings(model_name=MODEL, method="none", on_overflow="truncate")


@dataclass(frozen=True)
class Question:
    """A question, the document that answers it, and the words where the answer begins.

    Attributes:
        text: The question.
        package: Whose document answers it.
        answer: Stands in that document.
        offset: Tokens before it.
    """

    text: str
    package: str
    answer: str
    offset: int


def main() -> None:
    """Index, close, reopen, ask."""
    parser = argparse.ArgumentParser(description="Long documents through a short model.")
    parser.add_argument("--store", type=Path, default=Path("demo-store"), help="folder to keep")
    parser.add_argument("--packages", nargs="*", help="only these; default: all installed ones")
    given = parser.parse_args()
    disable_progress_bar()
    console = Console()
    documents = [
        TextSource(name, text) for name, text in installed_packages(given.packages, licences=False)
    ]
    extended = storable_model(EXTENDED)
    window = extended.settings.original_max_seq_length
    console.print(
        f"[bold]{len(documents)} documents[/]: the long description of each installed package\n"
        f"[bold]all-MiniLM-L6-v2[/] reads {window} tokens of each as it is, and {WINDOW:,} with "
        f"method [bold]{extended.settings.method}[/] (chosen by 'auto')\n"
    )
    models = fill_stores(given.store, documents, extended, console)
    questions = list(asked(documents, extended.model))
    with ExitStack() as stack:
        stores = {
            name: stack.enter_context(open_store(given.store / name, model))
            for name, model in models.items()
        }
        last = list(models)[-1]
        words = WordFile(given.store / last, COLLECTION)
        catch_up(stores[last], words)
        ways = {
            name: partial(by_vectors, models[name], store) for name, store in stores.items()
        } | {
            "words": partial(by_words, stores[last], words),
            "words and vectors": partial(by_both, models[last], stores[last], words),
        }
        with console.status(f"Asking {len(questions)} questions in {len(ways)} ways ..."):
            names = {way: [find(one.text) for one in questions] for way, find in ways.items()}
    ranks = {
        way: [1 + found.index(one.package) for one, found in zip(questions, lists, strict=True)]
        for way, lists in names.items()
    }
    show_counts(console, ranks)
    with open_store(given.store / last, models[last]) as store:
        for number, one in enumerate(questions[:IN_DETAIL]):
            each = ", ".join(f"{way} {of[number]}" for way, of in ranks.items())
            console.print(f"\n[bold]{one.text}[/]", highlight=False)
            console.print(
                f"answered in {one.package}, {one.offset:,} tokens in; its rank: {each}",
                highlight=False,
            )
            best = search_hybrid(
                store, words, question_of(one.text), models[last].model.encode_query(one.text), 1
            )[0]
            console.print(
                f"{best.hit.source}: {sentence_of(best, words, one.text)}",
                markup=False,
                highlight=False,
            )
    console.print(
        f"\nRanks are among {len(documents)} documents. Ask your own question:\n"
        f'  longembed search "a small web server" --store {given.store / last}\n'
        f"or look at the documents in a browser:\n"
        f"  longembed serve --store {given.store / last}",
        highlight=False,
    )


def fill_stores(
    folder: Path, documents: Sequence[TextSource], extended: CachedModel, console: Console
) -> dict[str, CachedModel]:
    """Index the documents three times, reading them twice: as the model is, and extended.

    Returns:
        The models by the names of their stores; without "whitened" if the documents are too few.
    """
    models = {"as it is": storable_model(AS_IT_IS), "extended": extended}
    embed = {name: document_embedder(model) for name, model in models.items()}
    place = folder / "whitened"
    stored = read_provenance(place) if place.exists() else None
    if stored is not None:
        models["whitened"] = model_of_store(stored, le.ModelSettings(), place)
        embed["whitened"] = document_embedder(models["whitened"])
    else:
        reader = embed["extended"] = ReadOnce(embed["extended"])
        with (
            suppress(le.InputError),
            document_bar(console, len(documents), "whitening") as on_document,
        ):
            made = le.fit_whitening(
                extended.model,
                [document.document for document in documents],
                token_weights="none",
                validation=False,
                on_document=lambda text, read: (reader.keep(text, read[0]), on_document()),
            )
            file = place.resolve() / "whitening-demo.safetensors"
            made.whitening.write(file)
            settings = EXTENDED.model_copy(update={"whitening": str(file)})
            models["whitened"] = storable_model(settings)

            def whitened(texts: list[str]) -> Encoded:
                encoded = reader(texts)
                return Encoded(made.whitening(encoded.vectors), encoded.coverages)

            embed["whitened"] = whitened
    for name, model in models.items():
        fill(folder / name, name, model, embed[name], documents, console)
    console.print("Closed and reopened.\n")
    return models


class ReadOnce:
    """Embeds each document once: the fit of the whitening reads most, and two stores want them."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[str, tuple[Any, le.Coverage]] = {}

    def keep(self, text: str, read: Any) -> None:
        """Take what the fit has read."""
        self._known[text] = (read.document, read.coverage)

    def __call__(self, texts: list[str]) -> Encoded:
        """What the extended model makes of documents."""
        new = [text for text in texts if text not in self._known]
        encoded = self._embed(new)
        self._known |= zip(new, zip(encoded.vectors, encoded.coverages, strict=True), strict=True)
        vectors, coverages = zip(*(self._known[text] for text in texts), strict=True)
        return Encoded(np.stack(vectors), list(coverages))


def fill(
    place: Path,
    name: str,
    model: CachedModel,
    embed: Embed,
    documents: Sequence[TextSource],
    console: Console,
) -> None:
    """Index the documents into one store, and say what was read."""
    with (
        open_store(place, model, write=True) as store,
        file_bar(console, documents) as on_outcome,
    ):
        report = ingest(documents, store, embed, on_outcome=on_outcome)
    done = ", ".join(f"{count} {status}" for status, count in report.counts.items() if count)
    console.print(
        f"{name}: {done} in {report.seconds:.0f} s; {report.tokens:,} tokens, {report.read:,} of "
        f"them read"
    )


def asked(
    documents: Sequence[TextSource], extended: le.LongSentenceTransformer
) -> Iterator[Question]:
    """The questions that are answered in one of the documents, between the two windows.

    Raises:
        SystemExit: If the model as it is would see an answer, so that it would prove nothing.
    """
    texts = {document.name: document.document for document in documents}
    for line in QUESTIONS.read_text("utf8").splitlines():
        row = json.loads(line)
        before, found, _ = texts.get(row["package"], "").partition(row["answer"])
        if not found:
            continue
        offset = le.coverage(extended, [before])[0].tokens
        if not extended.long_transformer.extension.context.original < offset < WINDOW:
            raise SystemExit(f"the answer to {row['question']!r} lies at token {offset}")
        yield Question(row["question"], row["package"], row["answer"], offset)


def by_vectors(model: CachedModel, store: Store, question: str) -> list[str]:
    """All documents, the best first."""
    vector = model.model.encode_query(question)
    return [hit.source for hit in search(store, vector, len(store))]


def by_words(store: Store, words: WordFile, question: str) -> list[str]:
    """Likewise; those without a word of the question last."""
    hits = search_hybrid(store, words, question_of(question), None, len(store), passages=0)
    found = [hit.hit.source for hit in hits]
    return [*found, *sorted({name for _, name in store.names()} - set(found))]


def by_both(model: CachedModel, store: Store, words: WordFile, question: str) -> list[str]:
    """Likewise, as `longembed search` does it."""
    vector = model.model.encode_query(question)
    hits = search_hybrid(store, words, question_of(question), vector, len(store), passages=0)
    return [hit.hit.source for hit in hits]


def sentence_of(hit: DocumentHit, words: WordFile, question: str) -> str:
    """The sentence that answers, as far as words can tell."""
    shown = with_best_sentence(hit, words.ask(question).text_scores)
    start, end = shown.passages[0].sentence or (0, 0)
    return " ".join(shown.text[start:end].split())


def show_counts(console: Console, ranks: dict[str, list[int]]) -> None:
    """Print how many questions find their document."""
    count = len(next(iter(ranks.values())))
    table = Table(title=f"{count} questions: how many find their document", title_justify="left")
    table.add_column("by")
    table.add_column("first", justify="right")
    table.add_column(f"among the first {FIRST_FEW}", justify="right")
    for way, of_way in ranks.items():
        first, few = (sum(rank <= most for rank in of_way) for most in (1, FIRST_FEW))
        table.add_row(way, str(first), str(few))
    console.print(table)


if __name__ == "__main__":
    try:
        main()
    except le.LongEmbedError as error:
        raise SystemExit(f"Error: {error}") from None
