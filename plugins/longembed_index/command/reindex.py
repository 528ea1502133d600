"""The command `longembed reindex`."""

from __future__ import annotations

from typing import Annotated

import typer

from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    ModelOption,
    ReportJsonOption,
    StoreOption,
    WaitOption,
    WhitenOption,
    open_index,
)
from longembed_index.command.progress import embedding_bar
from longembed_st.base.settings import ModelSettings
from longembed_st.command.display import loading
from longembed_st.command.help import ADVANCED, STORE
from longembed_st.command.options import with_settings
from longembed_st.command.terminal import print_json, terminal
from longembed_st.errors import ConfigError
from longembed_st.loading.early import refuse_mistakes


@with_settings
def reindex(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: ModelOption = None,
    settings: ModelSettings,
    whiten: WhitenOption = False,
    units: Annotated[
        bool | None,
        typer.Option(
            "--units/--no-units",
            "--spans/--no-spans",
            help="Make vectors of the sentence units of documents, too, or no longer.",
            show_default="as the store has it",
            rich_help_panel=STORE,
        ),
    ] = None,
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
            rich_help_panel=ADVANCED,
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Throw away an unfinished reindexing of other settings.",
            rich_help_panel=ADVANCED,
        ),
    ] = False,
) -> None:
    """Embed all documents of a store again, with another model or other settings.

    The texts are taken from the store; no file is read. The old vectors answer searches until the
    new ones are complete, and stay beside them until `--drop-old`. The model is the store's unless
    one is named; every other setting that is not given takes its default. A run that was cut off
    goes on when it is run again.

    Examples: `longembed reindex --store ./store --whiten`,
    `longembed reindex --store ./store --method pi --max-seq-length 4096`
    """
    out, console = terminal(), terminal(stderr=True)
    changes = settings.explicit.keys() - {"device"} or model or whiten or units is not None
    with open_index(store, collection, wait=wait) as index:
        if not changes:
            if not drop_old:
                raise ConfigError(
                    "name what is to change, for instance --method, --model or --whiten"
                )
            display.show_dropped(out, index.drop_replaced())
            return
        refuse_mistakes(settings.model_copy(update={"model_name": model}))
        with loading(console, model or index.model_name), embedding_bar(console) as bar:
            result = index.reindex(
                model,
                whiten=whiten,
                units=units,
                drop_old=drop_old,
                allow_missing=allow_missing,
                restart=restart,
                on_outcome=bar.on_outcome,
                on_step=bar.on_step,
                on_message=console.say,
                **settings.explicit,
            )
    if as_json:
        print_json(result.to_dict())
    else:
        display.show_reindexed(out, result)
    if result.replaced is None:
        raise typer.Exit(1)
