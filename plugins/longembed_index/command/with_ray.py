"""The options of `longembed index` that embeds with the actors of a Ray cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from longembed_st.base.texts import is_url
from longembed_st.errors import ConfigError

PARQUET = "parquet:"


def is_parquet(store: str) -> bool:
    """Return whether the result goes into a folder of Parquet files instead of a store."""
    return store.startswith(PARQUET)


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


def _used(options: Mapping[str, object]) -> list[str]:
    return [name for name, value in options.items() if value]
