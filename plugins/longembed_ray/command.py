"""What `longembed index --ray` does: files into an index, or into a folder of Parquet files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longembed_index.command.options import PARQUET
from longembed_index.errors import NO_DOCUMENTS
from longembed_index.maintain.embedding import makes_units_cheaply, storable_model
from longembed_ray.pipeline import embed_to_parquet, index_with_ray
from longembed_ray.reading import find_inputs
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.index import Index
    from longembed_index.maintain.report import OnOutcome, Report
    from longembed_st.base.settings import ModelSettings


def index_files(
    index: Index,
    paths: Sequence[Path | str],
    address: str,
    actors: int | None,
    on_outcome: OnOutcome,
    *,
    limits: Any,
    **search: Any,
) -> Report:
    """Bring an index up to date with files by a cluster; `search` is as for `find_inputs`."""
    inputs, unreadable = find_inputs(paths, index.directory, **search)
    if not inputs and not index.exists:
        raise ConfigError(NO_DOCUMENTS)
    provenance = index.model.provenance
    with index.writing() as store:
        report = index_with_ray(
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


def embed_files(
    paths: Sequence[Path | str],
    store: str,
    settings: ModelSettings,
    units: bool | None,
    address: str,
    actors: int | None,
    *,
    limits: Any,
    on_outcome: OnOutcome,
    **search: Any,
) -> Report:
    """Embed files into a folder of Parquet files by a cluster.

    `store` is "parquet:" and the folder or its URL; `search` is as for `find_inputs`.
    """
    folder = store.removeprefix(PARQUET)
    inputs, unreadable = find_inputs(paths, folder, **search)
    if not inputs:
        raise ConfigError(NO_DOCUMENTS)
    model = storable_model(settings)
    report = embed_to_parquet(
        list(inputs),
        folder,
        model.provenance,
        address,
        units=makes_units_cheaply(model) if units is None else units,
        actors=actors,
        limits=limits,
        on_outcome=on_outcome,
    )
    report.add_failed(unreadable)
    return report
