"""What `longembed index --ray` does in another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from longembed_index.command.progress import file_bar
from longembed_index.command.steps import NO_DOCUMENT, describe, has_spans_unasked, load_model
from longembed_st.command.terminal import terminal
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.addresses import Address
    from longembed_index.parsing import Limits
    from longembed_index.reports import Report
    from longembed_index.sources import Found
    from longembed_st.base.settings import ModelSettings
    from longembed_st.loading.cache import CachedModel


def refuse_unlike(
    paths: Sequence[Path | str],
    store: Address,
    ray: str | None,
    *,
    with_ray: list[str],
    alone: list[str],
    of_stores: list[str],
) -> None:
    """Refuse what only goes with `--ray`, or only without.

    Args:
        paths: What is to be read.
        store: Where to.
        ray: Address of the cluster; None for none.
        with_ray: Options that were given and only go with it.
        alone: Options that were given and do not go with it.
        of_stores: Options that were given and only go with a store.

    Raises:
        ConfigError: If there is such a thing.
    """
    from longembed_index.addresses import PARQUET

    parquet = [f"{PARQUET}:{store.url}"] if store.url else []
    urls = [path for path in paths if isinstance(path, str)]
    if ray is None and (needing := urls + parquet + with_ray):
        raise ConfigError(f"{needing[0]} needs --ray, for instance --ray local")
    if ray is not None and alone:
        raise ConfigError(f"{alone[0]} does not go with --ray: index without --ray for that")
    if parquet and of_stores:
        raise ConfigError(f"{of_stores[0]} is for a store, and {parquet[0]} is a folder of files")


def inputs(
    paths: Sequence[Path | str],
    result: Path | str,
    include: list[str] | None,
    exclude: list[str] | None,
) -> Found:
    """What there is to read for the actors of a cluster.

    Args:
        paths: Files, folders, and URLs of them.
        result: The store, or where the result goes, which is not read.
        include: Of folders, only files like these.
        exclude: Of folders, no files like these.
    """
    from longembed_index.distributed.reading import inputs_of
    from longembed_index.sources import Found

    found, unreadable = inputs_of(paths, result, only=include or [], but=exclude or [])
    return Found(list(found), [], unreadable)


def ingestion(
    loaded: CachedModel, address: str, actors: int | None, limits: Limits
) -> Callable[..., Report]:
    """What brings a store up to date by the actors of a cluster.

    Args:
        loaded: The model.
        address: Of the cluster.
        actors: How many; None for what is usual.
        limits: Of the parsing of one file.
    """
    from longembed_index.distributed.running import ingest_with_ray

    by_ray = partial(ingest_with_ray, made_by=loaded.provenance, address=address)
    return partial(by_ray, actors=actors, limits=limits)


def to_parquet(
    found: Found,
    place: str,
    given: ModelSettings,
    spans: bool | None,
    address: str,
    actors: int | None,
    limits: Limits,
) -> Report:
    """Embed documents into a folder of Parquet files.

    Args:
        found: What there is to read.
        place: The folder, or its URL.
        given: The model and its settings.
        spans: Whether spans are wanted; None for if the method reads texts of any length.
        address: Of the cluster.
        actors: How many; None for what is usual.
        limits: Of the parsing of one file.

    Raises:
        ConfigError: If there is nothing to read.
    """
    from longembed_index.distributed.running import embed_to_parquet

    console = terminal(stderr=True)
    if not found.files:
        raise ConfigError(NO_DOCUMENT)
    console.say(f"Found {len(found.files):,} files", style="dim")
    loaded = load_model(None, given, Path(), console)
    console.say(describe(loaded))
    if spans is None:
        spans = has_spans_unasked(loaded)
    with file_bar(console, found.files) as on_outcome:
        return embed_to_parquet(
            found.files,
            place=place,
            address=address,
            made_by=loaded.provenance,
            spans=spans,
            actors=actors,
            limits=limits,
            on_outcome=on_outcome,
        )
