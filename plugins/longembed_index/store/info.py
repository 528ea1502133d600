"""The description of a store, as JSON that is stored with its documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from longembed_index.errors import StoreError
from longembed_index.lexical.analyzer import LANGUAGES
from longembed_index.search.ranking import Ranking
from longembed_index.store.protocol import StoreInfo
from longembed_index.store.stored_values import read_json
from longembed_st.base.fields import one_line
from longembed_st.base.provenance import Provenance
from longembed_st.base.texts import escaped
from longembed_st.errors import ConfigError


def info_to_json(info: StoreInfo) -> str:
    """Return the description of a store as JSON, without the settings of this machine.

    Raises:
        ConfigError: If a setting must not be stored.
    """
    return json.dumps(
        {
            "provenance": info.provenance.portable().to_dict(),
            "units": info.units,
            "language": info.language,
            "ranking": {"mode": info.ranking.mode, "weight": info.ranking.weight},
        },
        sort_keys=True,
    )


class _Stored(BaseModel):
    """What `info_to_json` writes, apart from the model's settings, which check themselves."""

    model_config = ConfigDict(extra="forbid", strict=True)

    provenance: dict[str, Any]
    units: bool
    language: str | None
    ranking: Ranking


def info_from_json(text: str, place: Path | str | None = None) -> StoreInfo:
    """Read what `info_to_json` returned.

    Raises:
        StoreError: If it cannot be read.
        ConfigError: If it has settings that must not be acted on.
    """
    where = "the description of the store" + (f" in {escaped(place)}" if place else "")
    damaged = (
        f"{where} is damaged. Restore it from a copy, or index the documents into a new folder"
    )
    try:
        values = read_json(text)
        if isinstance(values, dict) and "spans" in values:
            raise StoreError(
                f"{where} is from before documents had sentence units. Index the documents into a "
                "new folder"
            )
        stored = _Stored.model_validate(values)
    except ValidationError as error:
        raise StoreError(f"{damaged} ({one_line(error)[:200]})") from None
    except (TypeError, ValueError) as error:
        raise StoreError(f"{damaged} ({str(error)[:200]})") from None
    if stored.language not in (None, *LANGUAGES):
        raise StoreError(f"{damaged} (there is no language {escaped(str(stored.language))})")
    try:
        provenance = Provenance.from_dict(stored.provenance)
    except ConfigError as error:
        raise ConfigError(f"{where} cannot be used: {error}") from None
    if {stored.provenance.get(name) for name in ("device", "cache_folder")} != {None}:
        raise ConfigError(
            f"{where} names a device or a folder for models, which we never write: somebody else "
            "has. Index the documents into a new folder"
        )
    return StoreInfo(provenance, stored.units, stored.language, stored.ranking)
