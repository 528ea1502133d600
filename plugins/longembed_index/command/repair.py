"""The command `longembed repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from longembed_index.command.options import (
    CollectionOption,
    MovedModelOption,
    StoreOption,
    WaitOption,
    named,
)
from longembed_index.command.steps import embedder, load_model, mend
from longembed_st.command.options import (
    BackendOption,
    DeviceOption,
    DtypeOption,
    settings_from_options,
)
from longembed_st.command.terminal import terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_st.base.coverage import Encoded


def repair(
    store: StoreOption,
    *,
    collection: CollectionOption = "documents",
    model: MovedModelOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    backend: BackendOption = None,
    wait: WaitOption = 0,
    remove_lost: Annotated[
        bool,
        typer.Option(
            "--remove-lost",
            help="Remove records whose vector is lost and cannot be made again: bare vectors that "
            "another program stored without a text.",
        ),
    ] = False,
) -> None:
    """Find out whether a store has lost vectors, and write those anew.

    A kill or a damaged file can cost a store vectors, but not the texts. They are taken from the
    copy that the store keeps of them, and what is not there is embedded again, with the store's own
    settings. A run that was cut off goes on when it is run again.

    Example: `longembed repair --store ./store`
    """
    from longembed_index.errors import StoreError
    from longembed_index.opening import open_store, read_provenance

    stored = read_provenance(store, collection)
    if stored is None:
        raise ConfigError(f"there is no collection {collection!r} in a store in {store}")
    out, console = terminal(), terminal(stderr=True)

    def embed(texts: list[str]) -> Encoded:
        # Mostly the copy has all of them, and no model is needed.
        given = named(settings_from_options(device=device, dtype=dtype, backend=backend), model)
        loaded = load_model(stored, given, store, console)
        return embedder(loaded, spans=False)(texts)

    with open_store(store, collection=collection, write=True, wait=wait) as opened:
        if not opened.lost():
            out.say(f"All {len(opened):,} vectors are there: nothing to repair.")
            return
        mend(opened, embed, console, remove_lost)
        if opened.lost():
            raise StoreError(
                f"{len(opened.lost()):,} vectors are lost for good. Remove their records: "
                "longembed repair --remove-lost"
            )
        out.say(f"All {len(opened):,} vectors are there again.")
