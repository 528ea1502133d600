"""The commands `longembed list`, `stats`, `delete` and `export`: what is in a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from longembed_index.command.options import (
    CollectionOption,
    JsonOption,
    StoreOption,
    WaitOption,
    WhereOption,
    conditions,
)
from longembed_st.base.texts import escaped
from longembed_st.command.display import percent
from longembed_st.command.options import path_argument
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.store import Store

_NAMED = 10
"""Documents that are named before they are removed."""

NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Documents, by their names in the store, as `longembed list` shows them; `*` stands "
        "for any characters.",
        show_default=False,
    ),
]


def list_documents(
    store: StoreOption,
    names: NamesArgument = None,
    *,
    collection: CollectionOption = "documents",
    where: WhereOption = None,
    gone: Annotated[
        bool, typer.Option("--gone", help="Only documents whose file is not there any more.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the documents of a store: their names, lengths, and how much of each was read.

    Example: `longembed list --store ./store '*/2019/*'`
    """
    from longembed_index.contents import as_dict, entry_of, records_of
    from longembed_index.opening import open_store
    from longembed_index.sources import is_missing

    with open_store(store, collection=collection) as opened:
        found = [entry_of(one) for one in records_of(opened, names or (), conditions(where or []))]
    found = [entry for entry in found if not gone or is_missing(entry.source)]
    if as_json:
        print_json([as_dict(entry) for entry in found])
        return
    table = Table(Column("document", overflow="fold"), box=None, pad_edge=False)
    for heading in ("tokens", "read"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in found:
        if entry.tokens is None or entry.read is None:
            table.add_row(entry.source, "", "not ours")
        else:
            share = entry.read / entry.tokens if entry.tokens else 1.0
            table.add_row(entry.source, f"{entry.tokens:,}", percent(share))
    terminal().print(table)
    terminal(stderr=True).say(f"{len(found):,} documents")


def stats(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    as_json: JsonOption = False,
) -> None:
    """Tell what a store holds: documents, tokens, the model and its settings, sizes on disk.

    Example: `longembed stats --store ./store`
    """
    from longembed_index.contents import entry_of, records_of
    from longembed_index.lexical import WordFile
    from longembed_index.modes import read_ranking
    from longembed_index.opening import open_store, spans_in
    from longembed_index.word_index import RanksWords, WordIndex

    with open_store(store, collection=collection) as opened:
        provenance = opened.provenance
        entries = [entry_of(record) for record in records_of(opened)]
        words: WordIndex = WordFile(store, collection)
        if isinstance(opened, RanksWords):
            words = opened.word_index
        word_count, language = len(words), words.language
    ours = [entry for entry in entries if entry.tokens is not None]
    spans = spans_in(store, collection)
    ranking = read_ranking(store, collection)
    tokens, read = sum(e.tokens or 0 for e in ours), sum(e.read or 0 for e in ours)
    facts: dict[str, Any] = {
        "documents": len(entries),
        "of other programs": len(entries) - len(ours),
        "tokens": tokens,
        "tokens read": read,
        "documents read in part": sum((e.read or 0) < (e.tokens or 0) for e in ours),
        "characters": sum(e.characters or 0 for e in entries),
        "model": provenance.settings.model_name,
        "settings": {
            name: value
            for name, value in provenance.settings.keywords().items()
            if value is not None and name not in ("on_overflow", "token_budget")
        },
        "fingerprint": provenance.fingerprint,
        "spans": len(spans.ids(str(provenance.fingerprint))) if spans.exists else 0,
        "words": word_count,
        "language of the words": language,
        "searched by": f"{ranking.mode}, weight {ranking.weight}",
        "bytes on disk": sum(file.stat().st_size for file in store.rglob("*") if file.is_file()),
    }
    if as_json:
        print_json(facts)
        return
    table = Table("", Column(overflow="fold"), show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}={one!r}" for key, one in value.items())
        table.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
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
            help="Documents whose file is not there any more, wherever it was: of a folder that "
            "was renamed or deleted.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only name what would be removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: WaitOption = 0,
) -> None:
    """Remove documents from a store, by name, by metadata, or because their file is gone.

    The files themselves are left alone.

    Example: `longembed delete --store ./store '/old/reports/*'`
    """
    from longembed_index.contents import records_of, remove
    from longembed_index.hybrid import catch_up
    from longembed_index.lexical import WordFile
    from longembed_index.opening import open_store, spans_in
    from longembed_index.sources import is_missing
    from longembed_index.spans import SpannedStore

    if not (names or where or gone):
        raise ConfigError("name what is to be removed: documents, --where or --gone")
    out, console = terminal(), terminal(stderr=True)
    with open_store(store, collection=collection, write=True, wait=wait) as plain:
        spans, words = spans_in(store, collection), WordFile(store, collection)
        opened: Store = SpannedStore(plain, spans) if spans.exists else plain
        found = {
            record.id: record.name
            for record in records_of(opened, names or (), conditions(where or []))
            if not gone or is_missing(record.name)
        }
        if not found:
            console.say("No document of the store is meant by this.")
            return
        listed = sorted(found.values())
        for name in listed if dry_run else listed[:_NAMED]:
            console.say(f"  {escaped(name)}")
        if len(listed) > _NAMED and not dry_run:
            console.say(f"  and {len(listed) - _NAMED:,} more")
        if dry_run:
            out.say(f"{len(found):,} documents would be removed.")
            return
        if not yes:
            typer.confirm(f"Remove {len(found):,} documents from the store?", abort=True, err=True)
        remove(opened, list(found))
        if words.path.is_file():
            catch_up(opened, words)
        out.say(f"Removed {len(found):,} documents; the store has {len(opened):,}.")


def export(
    out: Annotated[
        Path,
        typer.Argument(parser=path_argument, metavar="FILE", help="Ends in .jsonl or .parquet."),
    ],
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    where: WhereOption = None,
    vectors: Annotated[
        bool, typer.Option("--vectors/--no-vectors", help="With the documents' vectors.")
    ] = True,
) -> None:
    """Write the documents of a store, their metadata and vectors to a file.

    Example: `longembed export documents.parquet --store ./store`
    """
    from longembed_index.contents import export as write
    from longembed_index.contents import records_of
    from longembed_index.opening import open_store

    with open_store(store, collection=collection) as opened:
        records = records_of(opened, (), conditions(where or []))
        count = write(records, out, vectors=vectors)
    terminal().say(f"Wrote {count:,} documents to {out}.")
