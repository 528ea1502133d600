"""The command `longembed import`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import longembed_st as le
from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    ModelOption,
    ReportJsonOption,
    StoreOption,
    WaitOption,
    open_or_create,
)
from longembed_index.command.progress import embedding_bar
from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import loading
from longembed_st.command.options import with_settings
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.documents.chunks import Chunk, Joined
    from longembed_st.command.terminal import Terminal

_CHROMA = "chroma:"


@with_settings
def import_chunks(
    chunks: Annotated[
        str,
        typer.Argument(
            metavar="CHUNKS",
            help="chroma:DIR#COLLECTION, as LangChain, LlamaIndex and Haystack fill it; or a "
            ".jsonl file, a chunk a line with text (or page_content), metadata and id.",
            show_default=False,
        ),
    ],
    store: StoreOption,
    *,
    model: ModelOption = None,
    settings: ModelSettings,
    collection: CollectionOption = "documents",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which documents the chunks make.")
    ] = False,
    wait: WaitOption = 0,
    as_json: ReportJsonOption = False,
) -> None:
    """Index the documents that another program has cut into chunks, without the files.

    The chunks of each source are joined into one document, without their overlaps: by the place in
    the document if they say it (LangChain: add_start_index=True; LlamaIndex says it always), or
    else where the end of one is the beginning of the next. What cannot be joined is named. Their
    vectors are of no use here; the documents are embedded anew. If you still have the files, index
    those: their headings, pages and tables are read better than chunks keep them.

    Examples: `longembed import chroma:./chroma#reports --store ./store --dry-run`,
    `longembed import chunks.jsonl --store ./store`
    """
    from longembed_index.documents.chunks import join_chunks

    out, console = terminal(), terminal(stderr=True)
    joined = join_chunks(_read(chunks))
    if not as_json:
        _show(out, joined)
    if not joined.documents:
        raise ConfigError(f"there is no chunk with a text in {chunks}")
    if dry_run:
        if as_json:
            print_json(joined.to_dict())
        return
    with open_or_create(store, model, settings, collection=collection, wait=wait) as index:
        with loading(console, index.model_name), embedding_bar(console) as bar:
            report = index.add_documents(
                joined.documents, on_outcome=bar.on_outcome, on_step=bar.on_step
            )
        if as_json:
            print_json({"joined": joined.to_dict(), **report.to_dict()})
        else:
            display.show_report(out, report, title="Import")


def _read(place: str) -> Iterator[Chunk]:
    from longembed_index.documents.chunks import chunk_of
    from longembed_index.documents.folder import jsonl_rows

    if place.startswith(_CHROMA):
        yield from le.read_chroma_chunks(place.removeprefix(_CHROMA))
    elif place.endswith((".jsonl", ".jsonl.gz")):
        for number, (_, row) in enumerate(jsonl_rows(Path(place)), 1):
            yield chunk_of(row, number)
    else:
        raise ConfigError(
            f"cannot read chunks from {place!r}: give chroma:DIR#COLLECTION or a .jsonl file"
        )


def _show(console: Terminal, joined: Joined) -> None:
    console.say(f"{joined.chunks:,} chunks are joined into {len(joined.documents):,} documents.")
    gaps = [f"{name}: {count:,} characters" for name, count in joined.gaps.items()]
    for heading, lines in (
        ("Chunks without a text, left out:", joined.without_text),
        ("Chunks that do not say what they are from; each is a document:", joined.without_source),
        ("Joined in the order of the collection, as nothing says their places:", joined.guessed),
        ("Between chunks, characters are in no chunk:", gaps),
    ):
        display.show_list(console, heading, lines)
