"""The description of a store, as JSON that is stored with its documents."""

from __future__ import annotations

import json

from longembed_index.errors import StoreError
from longembed_index.search.ranking import Ranking
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance


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


def info_from_json(text: str) -> StoreInfo:
    """Read what `info_to_json` returned.

    Raises:
        StoreError: If it cannot be read.
        ConfigError: If it has settings that must not be acted on.
    """
    try:
        stored = json.loads(text)
        if "spans" in stored:
            raise StoreError(
                "the store is from before documents had sentence units. Index the documents into "
                "a new folder"
            )
        provenance = stored.pop("provenance")
        ranking = Ranking(**stored.pop("ranking"))
        return StoreInfo(Provenance.from_dict(provenance), ranking=ranking, **stored)
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreError(f"the description of the store cannot be read: {text[:80]}") from error
