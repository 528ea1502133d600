"""The pipeline: read, embed, write, each as wide as the machines allow, resumed where it ended."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from longembed_index.distributed.embedding import TEXT, EmbedDocuments
from longembed_index.distributed.reading import ID, Input, rows_of, tables_of
from longembed_index.distributed.writing import (
    KNOWN,
    WriteParquet,
    ids_in_parquet,
    outcomes_of,
    settle_provenance,
    to_store,
)
from longembed_index.parsing import Limits, Parser
from longembed_index.reports import Outcome, Report
from longembed_index.spans import SpannedStore
from longembed_st.errors import ConfigError, LongEmbedError, ModelError
from longembed_st.extras import needs_extra

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]
    from ray.data import Dataset

    from longembed_index.store import Store
    from longembed_st.base.provenance import Provenance

LOCAL = "local"
TRIES = 5
"""Times that a batch may take its actor down with it, before the run ends with an error."""
BATCH = 16
"""Documents that an actor embeds together."""
BLOCK_BYTES = 100_000
"""Text that is handed on together, so that one large table keeps all actors at work."""
WRITTEN = 128
"""Documents of a Parquet file: lost, if all is killed before they are written."""
CORES = 4
"""Of an actor on a CPU: more make a small model little faster."""


@dataclass(frozen=True)
class Actors:
    """How many actors embed, and what each has.

    Attributes:
        count: Of them.
        cpus: Cores of each.
        gpus: Devices of each, 0 or 1.
    """

    count: int
    cpus: int
    gpus: int


def actors_for(cpus: int, gpus: int, count: int | None = None) -> Actors:
    """One actor a GPU, or one a group of cores if there is no GPU.

    Args:
        cpus: Cores of all machines.
        gpus: Devices of all machines.
        count: How many are wanted; None for what is usual.

    Raises:
        ConfigError: If there are fewer cores than actors.
    """
    if gpus:
        return Actors(count or gpus, max(1, cpus // gpus // 2), 1)
    wanted = count or max(1, cpus // CORES)
    if wanted > cpus:
        raise ConfigError(f"{wanted} actors were asked for, and there are {cpus} cores")
    return Actors(wanted, cpus // wanted, 0)


@contextmanager
def cluster(address: str) -> Iterator[tuple[int, int]]:
    """Connect to a Ray cluster, or start one on this machine; one that runs already is used.

    Args:
        address: Of the cluster, or "local".

    Yields:
        Cores and GPUs of all machines.

    Raises:
        ConfigError: If there is no cluster at the address.
    """
    # Nothing is told to others unless somebody wants that.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its remarks would stand between our results.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_SCHEDULER_EVENTS", "0")
    _refuse_without_libraries()
    import ray

    is_ours = not ray.is_initialized()
    if is_ours:
        arguments: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if address == LOCAL:
            arguments["include_dashboard"] = False
        try:
            with warnings.catch_warnings():
                # Its processes are new programs, in which LanceDB is not at work.
                warnings.filterwarnings("ignore", message="lancedb fork support")
                ray.init(address=address, **arguments)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(f"there is no Ray cluster at {address!r}: {reason}") from None
    try:
        found = ray.cluster_resources()
        yield int(found.get("CPU", 1)), int(found.get("GPU", 0))
    finally:
        if is_ours:
            ray.shutdown()


def ingest_with_ray(
    inputs: Sequence[Input],
    store: Store,
    made_by: Provenance,
    address: str = LOCAL,
    *,
    actors: int | None = None,
    limits: Limits | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Bring a store up to date with some files, embedded by the actors of a Ray cluster.

    What is in the store already is not embedded again: a run that was killed goes on.

    Args:
        inputs: From `reading.inputs_of`.
        store: Open for writing; of a `SpannedStore`, documents get spans.
        made_by: Of the model, which makes the store's vectors.
        address: Of the cluster, or "local".
        actors: How many; None for what is usual.
        limits: Of the parsing of one file; None for the usual ones.
        on_outcome: Told of every document as soon as its fate is settled.

    Returns:
        What became of every document.

    Raises:
        ConfigError: If there is no such cluster, or it is too small.
        StoreError: If the store fails.
        ModelError: If a worker fails in a way that no other try would mend.
    """
    known = [record_id for record_id, name in store.names() if record_id != name]
    spans = isinstance(store, SpannedStore)
    if not inputs:
        return Report()
    with _run(address, actors, on_outcome) as (report, wanted, take):
        dataset = embedded(inputs, limits or Limits(), made_by, known, wanted, spans=spans)
        take(to_store(tables(dataset), store))
    return report


def embed_to_parquet(
    inputs: Sequence[Input],
    place: str,
    made_by: Provenance,
    address: str = LOCAL,
    *,
    spans: bool = False,
    actors: int | None = None,
    limits: Limits | None = None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Report:
    """Embed the documents of some files into Parquet files, by the actors of a Ray cluster.

    Rows are those of `EmbedDocuments`; documents that failed are in files of their own, with the
    reason. What is there already is not embedded again: a run that was killed goes on.

    Args:
        inputs: From `reading.inputs_of`.
        place: A folder that all workers see, or its URL in an object store.
        made_by: Of the model.
        address: Of the cluster, or "local".
        spans: Whether the documents' spans are wanted.
        actors: As for `ingest_with_ray`, like all that follow.
        limits: Likewise.
        on_outcome: Likewise.

    Returns:
        What became of every document.

    Raises:
        ConfigError: If the folder has vectors of other settings; else as for `ingest_with_ray`.
        StoreError: If the folder cannot be read or written.
        ModelError: As for `ingest_with_ray`.
    """
    _refuse_without_libraries()
    settle_provenance(place, made_by)
    known = ids_in_parquet(place)
    with _run(address, actors, on_outcome) as (report, wanted, take):
        dataset = embedded(inputs, limits or Limits(), made_by, known, wanted, spans=spans)
        written = dataset.map_batches(
            WriteParquet(place), batch_format="pyarrow", batch_size=WRITTEN, num_cpus=0
        )
        take(outcomes_of(tables(written)))
    return report


def _refuse_without_libraries() -> None:
    with needs_extra("ray", "ray", "pyarrow"):
        import pyarrow  # noqa: F401
        import ray  # noqa: F401


@contextmanager
def _run(
    address: str, actors: int | None, on_outcome: Callable[[Outcome], None]
) -> Iterator[tuple[Report, Actors, Callable[[Iterable[Outcome]], None]]]:
    """A cluster, and a report that outcomes are taken into."""
    began = time.perf_counter()
    report = Report()

    def take(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            report.add(outcome)
            on_outcome(outcome)

    with cluster(address) as (cpus, gpus):
        yield report, actors_for(cpus, gpus, actors), take
    report.seconds = time.perf_counter() - began


def embedded(
    inputs: Sequence[Input],
    limits: Limits,
    made_by: Provenance,
    known: Sequence[str],
    actors: Actors,
    *,
    spans: bool,
) -> Dataset:
    """The documents of some files, embedded when they are asked for.

    Args:
        inputs: The files; on several machines, each must see them under the same names.
        limits: Of the parsing of one file.
        made_by: Of the model: its settings and its fingerprint, which every actor must have.
        known: Ids of documents that are not to be embedded again.
        actors: What embeds.
        spans: Whether the documents' spans are wanted.

    Returns:
        Rows as `EmbedDocuments` gives them, with a column `known`.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    # A small table does not need all actors.
    warnings.filterwarnings("ignore", message="The (min|max)imum number of concurrent")
    warnings.filterwarnings("ignore", message="`ray_remote_args_fn` is deprecated")
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = BLOCK_BYTES
    # A kill of an actor is nobody's fault; what the code raises is, and would be raised again.
    context.actor_task_retry_on_errors = False
    there = ray.put(np.sort(np.array(known or [""], dtype="S32")))
    items = [{"name": one.name, "size": one.size} for one in inputs]
    files = ray.data.from_items(items, override_num_blocks=min(len(items), 1000))
    # Reading takes little beside embedding: the cores are the actors'.
    read: Any = _read
    documents = files.map_batches(
        read,
        fn_kwargs={"limits": limits, "known": there},
        batch_size=1,
        num_cpus=0,
        compute=TaskPoolStrategy(size=2 * actors.count),
    )
    return documents.map_batches(
        EmbedDocuments,
        fn_constructor_kwargs={
            "settings": made_by.settings,
            "spans": spans,
            "fingerprint": made_by.fingerprint,
        },
        batch_format="pyarrow",
        batch_size=BATCH,
        compute=ActorPoolStrategy(size=actors.count),
        num_cpus=actors.cpus,
        num_gpus=actors.gpus,
        # Deprecated without a successor: else a text that kills its actor is tried for ever.
        ray_remote_args_fn=lambda: {"max_task_retries": TRIES},
    )


def _read(batch: dict[str, Any], limits: Limits, known: Any) -> Iterator[pa.Table]:
    import ray

    there = ray.get(known) if isinstance(known, ray.ObjectRef) else known
    for name, size in zip(batch["name"], batch["size"], strict=True):
        for table in tables_of(rows_of(str(name), int(size), _parser(limits))):
            yield without_known(table, there)


@cache
def _parser(limits: Limits) -> Parser:
    """One a process: it has a process of its own, which is started once."""
    return Parser(limits)


def without_known(table: pa.Table, known: Any) -> pa.Table:
    """Take the texts from documents that are there already, and mark them.

    Args:
        table: From `tables_of`.
        known: Ids, ascending, as bytes.
    """
    import pyarrow as pa

    ids = np.array(table[ID].to_pylist(), dtype="S32")
    places = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    there = known[places] == ids if len(ids) else np.zeros(0, dtype=bool)
    texts = [
        None if is_known else text
        for text, is_known in zip(table[TEXT].to_pylist(), there, strict=True)
    ]
    place = table.column_names.index(TEXT)
    table = table.set_column(place, TEXT, pa.array(texts, pa.string()))
    return table.append_column(KNOWN, pa.array(there, pa.bool_()))


def tables(dataset: Dataset) -> Iterator[pa.Table]:
    """What a dataset gives, part by part.

    Args:
        dataset: Any.

    Raises:
        LongEmbedError: In the place of what an actor or task raised.
    """
    from ray.exceptions import RayError

    try:
        yield from dataset.iter_batches(batch_format="pyarrow", batch_size=None)
    except RayError as error:
        cause: Any = getattr(error, "cause", None) or error.__cause__
        if isinstance(cause, LongEmbedError):
            raise cause from None
        lines = str(error).strip().splitlines()
        raise ModelError(f"a worker failed: {lines[-1] if lines else error}") from error
