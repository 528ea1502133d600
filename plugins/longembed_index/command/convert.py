"""The command `longembed convert`."""

from __future__ import annotations

from typing import Annotated

import typer

from longembed_index.command import display
from longembed_index.command.options import (
    CollectionOption,
    ReportJsonOption,
    WaitOption,
    store_address,
)
from longembed_index.command.progress import embedding_bar
from longembed_st.command.terminal import print_json, terminal


def convert(
    old: Annotated[
        str,
        typer.Argument(
            parser=store_address, metavar="OLD", help="Folder or address of a store of version 0.2."
        ),
    ],
    new: Annotated[
        str,
        typer.Argument(
            parser=store_address, metavar="[KIND:]NEW", help="Folder or address of the new store."
        ),
    ],
    *,
    collection: CollectionOption = "documents",
    wait: WaitOption = 0,
    as_json: ReportJsonOption = False,
) -> None:
    """Convert a store of version 0.2 into a store of this version; nothing is embedded again.

    The old store is only read. Documents, metadata, vectors, whitening and ranking are taken over,
    and the words are indexed anew. Spans are not: `longembed reindex --units` makes the sentence
    units that take their place. A run that was cut off goes on when it is run again.

    Example: `longembed convert ./store ./new-store`
    """
    from longembed_index.maintain.convert import convert as convert_store

    console = terminal(stderr=True)
    with embedding_bar(console) as bar:
        result = convert_store(
            old, new, collection=collection, wait=wait, on_outcome=bar.on_outcome
        )
    if as_json:
        print_json(result.report.to_dict())
    else:
        display.show_report(terminal(), result.report, title="Convert")
    for name in result.other_collections:
        console.say(
            f"The collection {name!r} was not converted: longembed convert --collection {name}"
        )
