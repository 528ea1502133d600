"""Options that the commands on a store share, and what is meant by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longembed_st.base.settings import ModelSettings
from longembed_st.base.texts import is_url
from longembed_st.command.options import path_argument
from longembed_st.errors import ConfigError

if TYPE_CHECKING:
    from longembed_index.addresses import Address

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def path_or_url(text: str | Path) -> Any:
    """A path as typed, or the URL of something in an object store.

    Args:
        text: As typed, or the default.
    """
    return str(text) if is_url(str(text)) else path_argument(text)


def address(text: str | Path) -> Address:
    """A store as typed: a folder, perhaps with its kind before it, or an object store.

    Args:
        text: As typed, or the default.
    """
    from longembed_index.addresses import address_of

    return address_of(str(path_or_url(text)))


def _store_folder(text: str | Path) -> Path:
    return address(text).directory


StoreOption = Annotated[
    Path,
    typer.Option(
        "--store",
        parser=_store_folder,
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
        help="Where the store's model is now, if it was moved.", show_default="the store's"
    ),
]
CollectionOption = Annotated[str, typer.Option(metavar="NAME", help="Collection in the store.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Only documents that have this in their metadata, for instance `source=*/2019/*`: "
        "`*` stands for any characters. Repeatable; all must be met.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ReportJsonOption = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]
WhitenOption = Annotated[
    bool,
    typer.Option(
        "--whiten",
        help="Fit a whitening on the documents, without labels, and use it for all vectors of the "
        "store: see `longembed whiten`.",
    ),
]
WaitOption = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Wait so long for another writer to finish."),
]


def conditions(given: list[str]) -> dict[str, str]:
    """What `--where` asks for, by key.

    Args:
        given: Each as `KEY=VALUE`.

    Raises:
        ConfigError: If one is of another form, or a key is named twice.
    """
    pairs = [one.partition("=") for one in given]
    wrong = [one for one, (key, sign, _) in zip(given, pairs, strict=True) if not (key and sign)]
    if wrong:
        raise ConfigError(f"--where takes KEY=VALUE, for instance title=*.pdf, not {wrong[0]!r}")
    conditions = {key: value for key, _, value in pairs}
    if len(conditions) < len(pairs):
        raise ConfigError("--where names a key twice; a document has one value of each")
    return conditions


def named(settings: ModelSettings, model: str | None) -> ModelSettings:
    """Settings with the place where a model is now.

    Args:
        settings: Without a model.
        model: Where it is; None where the store says.
    """
    return settings if model is None else settings.model_copy(update={"model_name": model})
