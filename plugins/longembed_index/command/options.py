"""The options that the commands on an index share."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_st.base.settings import ModelSettings
from longembed_st.base.texts import is_url
from longembed_st.command.help import MODEL, OUTPUT, STORE
from longembed_st.command.options import path_argument
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.index import Index

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PARQUET = "parquet:"
"""Before the folder of Parquet files into which a Ray cluster writes instead of a store."""

_RANGES = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "!=": "ne"}
_CONDITION = re.compile(r"(?P<key>[^=<>!]+)(?P<sign>>=|<=|!=|=|>|<)(?P<value>.+)", re.DOTALL)


def path_or_url(text: str | os.PathLike[str]) -> Any:
    """Return a path as typed, or the URL of something in an object store."""
    return str(text) if is_url(str(text)) else path_argument(os.fspath(text))


def store_address(text: str | os.PathLike[str]) -> str:
    """Return the address of a store as typed."""
    return str(path_or_url(text))


StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        parser=store_address,
        metavar="DIR",
        help="Folder of the store, or KIND:URL of one in an object store.",
        show_default=False,
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(help="Model name or folder.", show_default=f"the store's, or {DEFAULT_MODEL}"),
]
MovedModelOption = Annotated[
    str | None,
    typer.Option(
        help="Where the store's model is now, if it was moved.",
        show_default="the store's",
        rich_help_panel=MODEL,
    ),
]
CollectionOption = Annotated[
    str, typer.Option(metavar="NAME", help="Collection in the store.", rich_help_panel=STORE)
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Only documents whose metadata meets this: `source=*/2019/*` (`*` stands for any "
        "characters), `year>=2019`, `author!=Smith`. Repeatable; all must be met.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
ReportJsonOption = Annotated[
    bool, typer.Option("--json", help="Print what was done as JSON.", rich_help_panel=OUTPUT)
]
WhitenOption = Annotated[
    bool,
    typer.Option(
        "--whiten",
        help="Fit a whitening on the documents, without labels, and use it for all vectors of the "
        "store: see `longembed whiten`.",
        rich_help_panel=MODEL,
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(
        min=0,
        metavar="SECONDS",
        help="Wait so long for another writer to finish.",
        rich_help_panel=STORE,
    ),
]


def parse_where(conditions: list[str] | None) -> dict[str, Any] | None:
    """Return the filter that the values of `--where` describe; None without any.

    Args:
        conditions: Each as `KEY=VALUE`, `KEY!=VALUE` or with `<`, `<=`, `>`, `>=`.

    Raises:
        ConfigError: If one has another form, or two contradict each other.
    """
    where: dict[str, Any] = {}
    for condition in conditions or ():
        parts = _CONDITION.fullmatch(condition)
        if parts is None:
            raise ConfigError(
                f"--where takes KEY=VALUE, for instance title=*.pdf, not {condition!r}"
            )
        key, sign, value = parts["key"].strip(), parts["sign"], parts["value"]
        if sign == "=":
            if key in where:
                raise ConfigError(f"--where names {key!r} twice; a document has one value of it")
            where[key] = value
        else:
            limits = where.setdefault(key, {})
            if not isinstance(limits, dict) or _RANGES[sign] in limits:
                raise ConfigError(f"--where names {key!r} twice; a document has one value of it")
            # A year of dates, which are texts, is one, too.
            is_text = sign == "!=" or key == "date"
            limits[_RANGES[sign]] = value if is_text else _number(value)
    return where or None


def parse_metadata(values: list[str] | None) -> dict[str, Any] | None:
    """Return the metadata that the values of `--meta` give; None without any.

    Args:
        values: Each as `KEY=VALUE`; a value that is a number or true or false is one.

    Raises:
        ConfigError: If one has another form, or a key is given twice.
    """
    metadata: dict[str, Any] = {}
    for text in values or ():
        key, equals, value = text.partition("=")
        if not (equals and key.strip() and value.strip()):
            raise ConfigError(
                f"--meta takes KEY=VALUE, for instance department=legal, not {text!r}"
            )
        if key.strip() in metadata:
            raise ConfigError(f"--meta gives {key.strip()!r} twice; a document has one value of it")
        metadata[key.strip()] = _plain_value(value.strip())
    return metadata or None


def _plain_value(text: str) -> str | int | float | bool:
    try:
        # Of JSON, so that 007 stays a text.
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    is_plain = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else text


def _number(text: str) -> float | str:
    """Return a number where the text is one; dates and other texts are compared as texts."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def open_index(
    store: str,
    collection: str,
    *,
    model: str | None = None,
    settings: ModelSettings | None = None,
    wait: float = 0,
) -> Index:
    """Open an index that exists.

    Raises:
        StoreError: If there is no index, or it cannot be read.
    """
    from longembed_index.index import Index

    keywords = (settings or ModelSettings()).explicit
    index = Index.open(store, model, collection=collection, wait=wait, **keywords)
    _ = index.info  # Raises an error if there is no index, also if a model was named.
    return index


def open_or_create(
    store: str,
    model: str | None,
    settings: ModelSettings,
    *,
    kind: str | None = None,
    **options: Any,
) -> Index:
    """Open an index, or prepare a new one, with the default model if none is named."""
    from longembed_index.index import Index
    from longembed_index.store.kinds import parse_address, read_info
    from longembed_st.loading.early import refuse_mistakes

    address = parse_address(store, kind)
    exists = read_info(address.directory, options["collection"], address.kind) is not None
    keywords = settings.explicit
    name = model or keywords.pop("model_name", None) or (None if exists else DEFAULT_MODEL)
    if name is not None:
        refuse_mistakes(ModelSettings.from_keywords(model_name=name, **keywords))
    return Index.open(store, name, kind=kind, **options, **keywords)


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
