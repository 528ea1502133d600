"""The pipeline: read, embed and write, each by as many processes as there is room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from longembed_index.documents.parsing import Limits
from longembed_index.maintain.report import Outcome, Report
from longembed_ray.attempts import EmbedWithAttempts, SharedAttempts
from longembed_ray.cluster import LOCAL, Actors, actors_for, cluster
from longembed_ray.columns import version_key
from longembed_ray.reading import Input, read_documents
from longembed_ray.writing import (
    check_provenance,
    keys_in_parquet,
    outcomes_of,
    write_parquet,
    write_to_store,
)
from longembed_st.errors import LongEmbedError, ModelError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    from ray.data import Dataset

    from longembed_index.document import Entry
    from longembed_index.store.protocol import Store
    from longembed_st.base.provenance import Provenance

BATCH = 16
"""Documents that an actor embeds together."""
PARQUET_ROWS = 128
"""Documents in a Parquet file; they are lost if the run is killed before it is written."""


def index_with_ray(
    inputs: Sequence[Input],
    store: Store,
    address: str = LOCAL,
    *,
    provenance: Provenance | None = None,
    actors: int | None = None,
    limits: Limits | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Bring a store up to date with some files, embedded by the actors of a Ray cluster.

    Documents that the store has already are not embedded again: a run that was killed goes on. The
    caller holds the store's lock, and brings its words up to date afterwards.

    Args:
        inputs: From `find_inputs`.
        store: Open for writing; its `info` says whether documents get units.
        address: The address of the cluster, or "local".
        provenance: The model, if it is not where the store says.
        actors: How many actors embed; None for one a GPU, or one for each four cores.
        limits: For the parsing of one file; None for the usual ones.
        on_outcome: Called with the outcome of every document as soon as it is stored.

    Returns:
        What became of every document.

    Raises:
        ConfigError: If there is no such cluster, or it is too small.
        StoreError: If the store fails.
        ModelError: If a worker fails for a reason that is not one document's.
    """
    stored: dict[str, str] = {}
    known: list[str] = []
    partly_read: dict[str, Entry] = {}
    for entry in store.entries():
        stored[entry.id] = entry.content_hash
        if not (limits and limits.can_read(entry.left_out)):
            known.append(version_key(entry.id, entry.content_hash))
        if not entry.is_read_whole:
            partly_read[entry.id] = entry

    def run(count: Actors) -> Iterator[Outcome]:
        model = provenance or store.info.provenance
        dataset = _embedded(inputs, model, known, count, limits, units=store.info.units)
        return write_to_store(_tables(dataset), store, stored, partly_read)

    report = _report(inputs, run, address, actors, on_outcome)
    report.in_store = len(store)
    return report


def embed_to_parquet(
    inputs: Sequence[Input],
    folder: str,
    provenance: Provenance,
    address: str = LOCAL,
    *,
    units: bool = False,
    actors: int | None = None,
    limits: Limits | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Embed the documents of some files into Parquet files, by the actors of a Ray cluster.

    Rows are those of `EmbedDocuments`; documents that failed are in files of their own, with the
    reason. Documents that are there already are not embedded again: a run that was killed goes on.

    Args:
        inputs: From `find_inputs`.
        folder: A folder that all workers see, or its URL in an object store.
        provenance: The model and its settings.
        address: The same as for `index_with_ray`.
        units: Whether to compute the sentence units of each document, too.
        actors: The same as for `index_with_ray`.
        limits: The same as for `index_with_ray`.
        on_outcome: The same as for `index_with_ray`.

    Returns:
        What became of every document.

    Raises:
        ConfigError: If the folder has vectors of other settings, there is no such cluster, or it is
            too small.
        StoreError: If the folder cannot be read or written.
        ModelError: If a worker fails for a reason that is not one document's.
    """
    folder = folder.rstrip("/")
    check_provenance(folder, provenance)

    def run(count: Actors) -> Iterator[Outcome]:
        known = keys_in_parquet(folder)
        dataset = _embedded(inputs, provenance, known, count, limits, units=units)
        write: Any = write_parquet
        parts = dataset.map_batches(
            write,
            fn_kwargs={"folder": folder},
            batch_format="pyarrow",
            batch_size=PARQUET_ROWS,
            num_cpus=0,
        )
        return outcomes_of(_tables(parts))

    return _report(inputs, run, address, actors, on_outcome)


def _report(
    inputs: Sequence[Input],
    run: Callable[[Actors], Iterator[Outcome]],
    address: str,
    actors: int | None,
    on_outcome: Callable[[Outcome], None],
) -> Report:
    began = time.perf_counter()
    report = Report()
    if inputs:
        with cluster(address) as (cpus, gpus):
            for outcome in run(actors_for(cpus, gpus, actors)):
                report.add(outcome)
                on_outcome(outcome)
    report.seconds = time.perf_counter() - began
    return report


def _embedded(
    inputs: Sequence[Input],
    provenance: Provenance,
    known: Sequence[str],
    actors: Actors,
    limits: Limits | None,
    *,
    units: bool,
) -> Dataset:
    """Return the documents as rows of `EmbedDocuments`, embedded when they are consumed."""
    from ray.data import ActorPoolStrategy

    return read_documents(inputs, limits or Limits(), known, tasks=2 * actors.count).map_batches(
        EmbedWithAttempts,
        fn_constructor_kwargs={
            "attempts": SharedAttempts(),
            "threads": actors.cpus,
            "settings": provenance.settings,
            "units": units,
            "fingerprint": provenance.fingerprint,
        },
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ActorPoolStrategy(size=actors.count),
        # One core less than it uses: were all taken, `read_parquet` could not list its files.
        num_cpus=actors.cpus - 1,
        num_gpus=actors.gpus,
    )


def _tables(dataset: Dataset) -> Iterator[pa.Table]:
    from ray.exceptions import RayError

    try:
        yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    except RayError as error:
        cause: Any = getattr(error, "cause", None) or error.__cause__
        if isinstance(cause, LongEmbedError):
            raise cause from None
        lines = str(error).strip().splitlines()
        raise ModelError(f"a worker failed: {lines[-1] if lines else error}") from error
