"""Documents and filters for the tests of stores, and what a store should return of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from longembed_index.document import Document, Record, Units
from longembed_index.documents.parsed import LeftOut
from longembed_index.search.ranking import Ranking
from longembed_index.store.memory import entry_of
from longembed_index.store.protocol import Store, StoreInfo
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings

INFO = StoreInfo(
    Provenance(
        ModelSettings(model_name="some/model", method="pcw", original_max_seq_length=512),
        "sha256:first",
    ),
    units=True,
    language="english",
)
"""The description of the stores under test."""

OTHER_INFO = StoreInfo(
    Provenance(
        ModelSettings(
            model_name="some/model", method="pi", max_seq_length=4096, original_max_seq_length=512
        ),
        "sha256:second",
    ),
    ranking=Ranking(mode="dense", weight=0.25),
)
"""What takes their place."""

LEFT_OUT = (LeftOut("pages 3-9", "pages without text", 7), LeftOut("", "\u202e\ud83d notes"))
"""Parts of a file that were not read."""

UNICODE = (
    "日本語 🙂 👩‍👩‍👧‍👦",
    "שלום עולם",
    "e\u0301 \u200b \u2028",
    "a\nb\tc\r\n",
    "'; DROP TABLE x; --",
)

TOLERANCE = 2e-3
UNIT_TOLERANCE = 2e-2
"""Stores keep vectors in half precision."""

FILTERED: dict[str, dict[str, Any]] = {
    "/reports/2019/a.txt": {"year": 2019, "draft": True, "tags": ["red", "blue"], "score": 0.5},
    "/reports/2019/[b].txt": {"year": 2019.0, "draft": False, "tags": [], "author": "Zoë"},
    "/reports/2020/c.txt": {"year": "2020", "author": "zoe", "nested": {"year": 2019}},
    "/other": {"year": None, "author": 'a "quoted" \\ name', "tags": ["red", 7]},
    # Decomposed, as some file systems have it.
    "/reports/U\u0308bersicht.txt": {"author": "Zoe\u0308", "year": 2018},
    "contract-17": {"amount": 10**20, "year": 2021, "title": "of the metadata", "ключ": "да"},
}
"""Documents for filters: metadata by id."""

FILTERS: tuple[dict[str, Any], ...] = (
    {},
    {"year": 2019},
    {"year": "2019"},
    {"year": "20*"},
    {"year": ["2020", 2021]},
    {"year": []},
    {"year": None},
    {"year": {"gte": 2019, "lt": 2021}},
    {"year": {"ne": 2019}},
    {"year": {"gt": "2019"}},
    {"draft": True},
    {"draft": "true"},
    {"draft": 1},
    {"tags": "red"},
    {"tags": {"ne": "red"}},
    {"tags": ["blue", "7"]},
    {"score": "0.5"},
    {"amount": {"gt": 10**19}},
    {"author": "Zoë"},
    {"author": "zo?"},
    {"author": 'a "quoted" \\ name'},
    {"nested": "*"},
    {"ключ": "да"},
    {"absent": {"ne": 1}},
    {"id": "contract-17"},
    {"source": "/reports/*"},
    {"source": "/reports/2019/[b].*"},
    {"id": "/reports/\u00dcbersicht.txt"},
    {"source": ["/reports/\u00dc*", "/other"]},
    {"title": "\u00dcbersicht*"},
    {"id": "*"},
    {"source": {"lt": "/reports"}},
    {"title": "?.txt"},
    {"title": "of the metadata"},
    {"content_hash": "hash of /other"},
    {"tokens": {"gt": 6}, "read": 6, "windows": "1"},
    {"year": 2019, "tags": "red", "id": "/reports/*"},
)
"""Filters of them."""


def record(
    key: str,
    *vector: float,
    text: str = "a text",
    left_out: tuple[LeftOut, ...] = (),
    **metadata: Any,
) -> Record:
    """Return a record with two units.

    Args:
        key: The id of its document.
        *vector: Three numbers; by default they are made from the id.
        text: The text.
        left_out: The parts of its file that are not in the text.
        **metadata: The metadata.
    """
    numbers = vector or (1.0, float(len(key)), float(sum(map(ord, key)) % 97))
    values = np.array(numbers, dtype=np.float32)
    values /= np.linalg.norm(values)
    # Neither of unit length nor as wide as the document's vector.
    vectors = np.stack([[*values, 2], [*values[::-1], 0]]).astype(np.float32)
    ranges = np.minimum([[0, 2], [3, len(text)]], len(text))
    units = Units(ranges, np.array([1, 300]), vectors)
    document = Document(key, text, metadata)
    coverage = Coverage(7, 6, 1, unknown=2)
    return Record(document, values, f"hash of {key}", coverage, units, left_out)


def contents(store: Store) -> dict[str, tuple[Any, ...]]:
    """Return all of a store by id, each time by another of its methods.

    Args:
        store: The store.
    """
    entries = list(store.entries())
    ids = [entry.id for entry in entries]
    assert ids == sorted(ids)
    assert len(store) == len(ids)
    records = {record.document.id: record for record in store.get(ids)}
    vectors = dict(zip(*store.vectors(), strict=True))
    units = dict(store.units())
    assert set(ids) == set(records) == set(vectors) >= set(units)
    assert all(np.array_equal(vectors[key], records[key].vector) for key in ids)
    with_units = {record.document.id: _plain(record.units) for record in store.get(ids, units=True)}
    assert with_units == {key: _plain(own) for key, own in units.items()}
    return {
        entry.id: (
            entry,
            records[entry.id].document,
            records[entry.id].content_hash,
            records[entry.id].coverage,
            records[entry.id].left_out,
            vectors[entry.id].tolist(),
            _plain(units.get(entry.id)),
        )
        for entry in entries
    }


def expected(*records: Record) -> dict[str, tuple[Any, ...]]:
    """Return what `contents` should return, within what they are rounded.

    Args:
        *records: The records that were written.
    """
    return {
        record.document.id: (
            entry_of(record),
            record.document,
            record.content_hash,
            record.coverage,
            record.left_out,
            pytest.approx(record.vector.tolist(), abs=TOLERANCE),
            pytest.approx(_plain(record.units), abs=UNIT_TOLERANCE),
        )
        for record in records
    }


def _plain(units: Units | None) -> list[float]:
    return [] if units is None else [*units.ranges.flat, *units.counts.flat, *units.vectors.flat]
