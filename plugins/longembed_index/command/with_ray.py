"""The part of `longembed index` that embeds with the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.errors import NO_DOCUMENTS
from longembed_st.base.texts import is_url
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.index import Index, OnOutcome
    from longembed_index.maintain.report import Report
    from longembed_st.base.settings import ModelSettings

_PARQUET = "parquet:"


def is_parquet(store: str) -> bool:
    """Return whether the result goes into a folder of Parquet files instead of a store."""
    return store.startswith(_PARQUET)


def check_ray_options(
    paths: Sequence[Path | str],
    store: str,
    ray: str | None,
    *,
    needs_ray: Mapping[str, object],
    without_ray: Mapping[str, object],
    with_store: Mapping[str, object],
) -> None:
    """Refuse what goes only with `--ray`, only without it, or only with a store.

    Args:
        paths: What is to be read.
        store: Where the result goes.
        ray: The address of the cluster; None for none.
        needs_ray: Options that need `--ray`, with their values.
        without_ray: Options that do not go with it.
        with_store: Options that need a store.

    Raises:
        ConfigError: If such an option was given.
    """
    if ray is None:
        urls = [str(path) for path in paths if is_url(str(path))]
        parquet = [store] if is_parquet(store) else []
        if needing := urls + parquet + _used(needs_ray):
            raise ConfigError(f"{needing[0]} needs --ray, for instance --ray local")
        return
    if used := _used(without_ray):
        raise ConfigError(f"{used[0]} does not go with --ray: index without --ray for that")
    if is_parquet(store) and (used := _used(with_store)):
        raise ConfigError(f"{used[0]} is for a store, and {store} is a folder of files")


def index_with_ray(
    index: Index,
    paths: Sequence[Path | str],
    address: str,
    actors: int | None,
    on_outcome: OnOutcome,
    *,
    limits: Any,
    **patterns: Sequence[str],
) -> Report:
    """Bring an index up to date with files by a cluster.

    Args:
        index: The index.
        paths: Files, folders, and URLs of them.
        address: The address of the cluster.
        actors: How many actors embed; None for the usual number.
        on_outcome: Called for every document.
        limits: For the parsing of one file.
        **patterns: `include` and `exclude`, as for `Index.add`.
    """
    from longembed_ray.pipeline import index_with_ray as run
    from longembed_ray.reading import find_inputs

    inputs, unreadable = find_inputs(paths, index.directory, **patterns)
    if not inputs and not index.exists:
        raise ConfigError(NO_DOCUMENTS)
    provenance = index.model.provenance
    with index.writing() as store:
        report = run(
            list(inputs),
            store,
            address,
            provenance=provenance,
            actors=actors,
            limits=limits,
            on_outcome=on_outcome,
        )
        report.in_store = len(store)
    report.add_failed(unreadable)
    return report


def embed_to_parquet(
    paths: Sequence[Path | str],
    store: str,
    settings: ModelSettings,
    spans: bool | None,
    address: str,
    actors: int | None,
    *,
    limits: Any,
    on_outcome: OnOutcome,
    **patterns: Sequence[str],
) -> Report:
    """Embed files into a folder of Parquet files by a cluster.

    Args:
        paths: Files, folders, and URLs of them.
        store: "parquet:" and the folder or its URL.
        settings: The model and its settings.
        spans: Whether to compute vectors of the parts of documents; None for the default.
        address: The address of the cluster.
        actors: How many actors embed; None for the usual number.
        limits: For the parsing of one file.
        on_outcome: Called for every document.
        **patterns: `include` and `exclude`, as for `Index.add`.
    """
    from longembed_index.maintain.embedding import makes_spans, storable_model
    from longembed_ray.pipeline import embed_to_parquet as run
    from longembed_ray.reading import find_inputs

    folder = store.removeprefix(_PARQUET)
    inputs, unreadable = find_inputs(paths, folder, **patterns)
    if not inputs:
        raise ConfigError(NO_DOCUMENTS)
    model = storable_model(settings)
    report = run(
        list(inputs),
        folder,
        model.provenance,
        address,
        spans=makes_spans(model) if spans is None else spans,
        actors=actors,
        limits=limits,
        on_outcome=on_outcome,
    )
    report.add_failed(unreadable)
    return report


def _used(options: Mapping[str, object]) -> list[str]:
    return [name for name, value in options.items() if value]
