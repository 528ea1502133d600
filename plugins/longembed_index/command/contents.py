"""The commands `longembed list`, `stats`, `delete` and `export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from longembed_index.command.display import left_out_line
from longembed_index.command.options import (
    CollectionOption,
    JsonOption,
    StoreOption,
    WaitOption,
    WhereOption,
    open_index,
    parse_where,
)
from longembed_index.errors import StoreError
from longembed_st.base.texts import escaped
from longembed_st.command.display import percent
from longembed_st.command.options import path_argument
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

_NAMES_SHOWN = 10

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Names of documents, as `longembed list` shows them; `*` stands for any characters.",
        show_default=False,
    ),
]


def _none_matched(names: list[str] | None) -> str:
    """Say that no document was found, and how a file is named if names were given."""
    hint = f" The name of a file is its path. Try '*/{names[0]}'." if names else ""
    return f"No document matched.{hint}"


def list_documents(
    store: StoreOption,
    names: NamesArgument = None,
    *,
    collection: CollectionOption = "documents",
    where: WhereOption = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="Only documents whose file no longer exists.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the documents of a store: their names, their lengths, and how much of each was read.

    "unknown" is the share of tokens that the model does not know, "not read" the parts of the file
    that are not in the text.

    Example: `longembed list --store ./store '*/2019/*'`
    """
    with open_index(store, collection) as index:
        entries = list(index.documents(names or (), parse_where(where), gone=gone))
    if names and not entries:
        terminal(stderr=True).say(_none_matched(names))
    if as_json:
        print_json([entry.to_dict() for entry in entries])
        return
    table = Table(Column("document", overflow="fold"), box=None, pad_edge=False)
    for heading in ("tokens", "read", "unknown"):
        table.add_column(heading, justify="right", no_wrap=True)
    if any(entry.left_out for entry in entries):
        table.add_column("not read", overflow="fold")
    for entry in entries:
        unknown = entry.tokens_unknown / entry.tokens_read if entry.tokens_read else 0.0
        cells = [entry.id, f"{entry.tokens:,}", percent(entry.share_read), percent(unknown)]
        table.add_row(*cells, *([left_out_line(entry.left_out)] if entry.left_out else []))
    terminal().print(table)
    terminal(stderr=True).say(f"{len(entries):,} documents")


def stats(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    as_json: JsonOption = False,
) -> None:
    """Show what a store holds: documents, tokens, the model and its settings, sizes on disk.

    Example: `longembed stats --store ./store`
    """
    with open_index(store, collection) as index:
        facts = {name.replace("_", " "): value for name, value in asdict(index.stats()).items()}
    if as_json:
        print_json(facts)
        return
    table = Table("", Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}={setting!r}" for key, setting in value.items())
        is_count = isinstance(value, int) and not isinstance(value, bool)
        table.add_row(name, f"{value:,}" if is_count else str(value))
    terminal().print(table)


def delete(
    store: StoreOption,
    names: NamesArgument = None,
    *,
    collection: CollectionOption = "documents",
    where: WhereOption = None,
    gone: Annotated[
        bool,
        typer.Option(
            "--gone",
            help="Only documents whose file no longer exists, for instance because its folder was "
            "renamed or deleted.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the documents that would be removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    wait: WaitOption = 0,
) -> None:
    """Remove documents from a store by name, by metadata, or because their file no longer exists.

    The files themselves are not deleted.

    Example: `longembed delete --store ./store '/old/reports/*'`
    """
    if not (names or where or gone):
        raise ConfigError("nothing to remove was named. Give names of documents, --where or --gone")
    out, console = terminal(), terminal(stderr=True)
    with open_index(store, collection, wait=wait) as index:
        try:
            entries = index.documents(names or (), parse_where(where), gone=gone)
            ids = [entry.id for entry in entries]
        except StoreError:
            # A document that cannot be read is deleted by its exact name.
            if not names or where or gone or any(set(name) & set("*?") for name in names):
                raise
            ids = names
        if not ids:
            console.say(_none_matched(names))
            return
        for document_id in ids if dry_run else ids[:_NAMES_SHOWN]:
            console.say(f"  {escaped(document_id)}")
        if dry_run:
            out.say(f"{len(ids):,} documents would be removed.")
            return
        if len(ids) > _NAMES_SHOWN:
            console.say(f"  and {len(ids) - _NAMES_SHOWN:,} more")
        if not yes:
            typer.confirm(f"Remove {len(ids):,} documents from the store?", abort=True, err=True)
        removed = index.delete(ids)
        out.say(f"Removed {removed:,} documents; the store has {len(index):,}.")


def export(
    out: Annotated[
        Path,
        typer.Argument(
            parser=path_argument,
            metavar="FILE",
            help="File to write, ending in .jsonl or .parquet.",
        ),
    ],
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    where: WhereOption = None,
    vectors: Annotated[
        bool, typer.Option("--vectors/--no-vectors", help="Whether to write the vectors, too.")
    ] = True,
) -> None:
    """Write the documents of a store, with their metadata and vectors, to a file.

    Example: `longembed export documents.parquet --store ./store`
    """
    with open_index(store, collection) as index:
        count = index.export(out, parse_where(where), vectors=vectors)
    terminal().say(f"Wrote {count:,} documents to {out}.")
