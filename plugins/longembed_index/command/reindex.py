"""The command `longembed reindex`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    ModelOption,
    ReportJsonOption,
    StoreOption,
    WaitOption,
    WhitenOption,
    named,
)
from longembed_index.command.progress import record_bar
from longembed_index.command.steps import describe, embedder, whiten_model
from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import loading
from longembed_st.command.options import with_settings
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.store import Store


@with_settings
def reindex(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: ModelOption = None,
    settings: ModelSettings,
    whiten: WhitenOption = False,
    wait: WaitOption = 0,
    as_json: ReportJsonOption = False,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old/--keep-old",
            help="Delete the old vectors after the switch, and those kept earlier. Alone, it "
            "deletes what is kept.",
        ),
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Switch even if some documents cannot be embedded. They stay in the old vectors.",
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Throw away an unfinished reindexing of other settings."),
    ] = False,
) -> None:
    """Embed all documents of a store again, with another model or other settings.

    The texts are taken from the store; no file is read. The old vectors answer searches until the
    new ones are complete, and stay beside them until `--drop-old`. The model is the store's unless
    one is named; every other setting that is not given takes its default. A run that was cut off
    goes on when it is run again.

    Example: `longembed reindex --store ./store --method pi --max-seq-length 4096`
    """
    from longembed_index import reindexing
    from longembed_index.embedding import storable_model
    from longembed_index.opening import open_store, read_provenance, spans_in
    from longembed_index.spans import SpanEmbedder, SpannedStore
    from longembed_index.whitening import Texts, begun_whitening

    given = named(settings, model)
    stored = read_provenance(store, collection)
    if stored is None:
        raise ConfigError(f"there is no collection {collection!r} in a store in {store}")
    out, console = terminal(), terminal(stderr=True)
    if not (given.explicit.keys() - {"device"} or whiten):
        if not drop_old:
            raise ConfigError("name what is to change, for instance --method, --model or --whiten")
        with open_store(store, collection=collection, write=True, wait=wait) as opened:
            spans = spans_in(store, collection)
            kept: Store = SpannedStore(opened, spans) if spans.exists else opened
            display.show_dropped(out, kept.drop_kept())
        return
    given = given.with_defaults(ModelSettings(model_name=stored.settings.model_name))
    with loading(console, given.model_name):
        loaded = storable_model(given)
    console.say(describe(loaded))
    with open_store(store, collection=collection, write=True, wait=wait) as opened:
        count = len(opened)
        spans = spans_in(store, collection)
        embed = embedder(loaded, spans.exists)
        if whiten:
            begun = None if restart else begun_whitening(opened, loaded, store)
            if begun is not None:
                loaded = begun
                embed = embedder(begun, spans.exists)
            else:
                texts = Texts.of_store(opened)
                loaded, embed = whiten_model(store, loaded, texts, spans.exists, console)
        if isinstance(embed, SpanEmbedder):
            opened = SpannedStore(opened, spans, embed)
        with record_bar(console, count) as on_outcome:
            done = reindexing.reindex(
                opened,
                loaded,
                embed,
                drop_old=drop_old,
                allow_missing=allow_missing,
                restart=restart,
                on_outcome=on_outcome,
            )
        if as_json:
            told = {"kept_as": done.kept_as, "dropped": list(done.dropped), "in_store": count}
            print_json({**done.report.as_dict(), **told})
        else:
            display.show_reindexed(out, done, count)
    if done.kept_as is None:
        raise typer.Exit(1)
