"""A Ray cluster to work on, and a host process that is left as it was."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from longembed_st.errors import ConfigError
from longembed_st.extras import needs_extra

LOCAL = "local"
_CORES = 4
"""Cores of an actor on a CPU. More would make a small model little faster."""
_ENVIRONMENT = {
    # No usage statistics are sent unless the user asks for that.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Remarks of Ray would stand between our results.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_SCHEDULER_EVENTS": "0",
}
_DATA_SETTINGS = {
    "enable_progress_bars": False,
    "print_on_execution_start": False,
    # Text that is handed on together: little, so that one large table keeps all actors busy.
    "target_max_block_size": 100_000,
    # An error that the code raises would be raised again.
    "actor_task_retry_on_errors": False,
}


@dataclass(frozen=True)
class Actors:
    """The number of actors that embed, and the cores and GPUs of each."""

    count: int
    cpus: int
    gpus: int


def actors_for(cpus: int, gpus: int, count: int | None = None) -> Actors:
    """Return one actor for each GPU or group of cores, or as many actors as are wanted.

    Raises:
        ConfigError: If there are fewer cores than actors.
    """
    if gpus:
        return Actors(count or gpus, max(1, cpus // gpus // 2), 1)
    wanted = count or max(1, cpus // _CORES)
    if wanted > cpus:
        raise ConfigError(f"{wanted} actors were asked for, but there are only {cpus} cores")
    return Actors(wanted, cpus // wanted, 0)


@contextmanager
def cluster(address: str) -> Iterator[tuple[int, int]]:
    """Connect to a Ray cluster, or start one on this machine; a connection that exists is used.

    The environment, warning filters, log levels and settings of Ray Data that this changes are
    afterwards what they were before.

    Args:
        address: The address of the cluster, or "local".

    Yields:
        The cores and the GPUs of all machines.

    Raises:
        ConfigError: If there is no cluster at the address.
    """
    with needs_extra("ray", "ray", "pyarrow"):
        import pyarrow  # type: ignore[import-untyped]  # noqa: F401
        import ray
        import ray.data

    with ExitStack() as stack:
        _make_quiet(stack)
        if not ray.is_initialized():
            _connect(address)
            stack.callback(ray.shutdown)
        resources = ray.cluster_resources()
        yield int(resources.get("CPU", 1)), int(resources.get("GPU", 0))


def _make_quiet(stack: ExitStack) -> None:
    """Change settings of this process; the end of the stack undoes it."""
    from ray.data import DataContext

    stack.callback(_forget_new_variables, frozenset(os.environ))
    for variable, text in _ENVIRONMENT.items():
        os.environ.setdefault(variable, text)
    for logger in (logging.getLogger("ray"), logging.getLogger("ray.data")):
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
    context = DataContext.get_current()
    for name, value in _DATA_SETTINGS.items():
        stack.callback(setattr, context, name, getattr(context, name))
        setattr(context, name, value)
    stack.enter_context(warnings.catch_warnings())
    # A small table does not need all actors.
    warnings.filterwarnings("ignore", message="The (min|max)imum number of concurrent")
    # The processes of Ray are new programs, in which LanceDB is not at work.
    warnings.filterwarnings("ignore", message="lancedb fork support")


def _forget_new_variables(before: frozenset[str]) -> None:
    # Ray sets some of its own, too.
    for name in os.environ.keys() - before:
        if name.startswith("RAY_"):
            del os.environ[name]


def _connect(address: str) -> None:
    import ray

    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"there is no Ray cluster at {address!r}: {reason}") from None
