"""Embedded rows become records of a store, or files, once each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from longembed_index.distributed.running import without_known
from longembed_index.distributed.writing import (
    WriteParquet,
    ids_in_parquet,
    outcomes_of,
    settle_provenance,
    to_store,
)
from longembed_index.errors import StoreError
from longembed_index.memory import MemoryStore
from longembed_index.spans import SpanFile, SpannedStore
from longembed_index.testing import MADE_ANEW, MADE_BY, contents
from longembed_st.errors import ConfigError

WIDTH = 4


def table(*rows: dict, spans: bool = False) -> pa.Table:
    vector = pa.list_(pa.float32(), WIDTH)
    schema = {
        **{name: pa.string() for name in ("id", "source", "title", "content_hash", "text")},
        "size": pa.int64(),
        "known": pa.bool_(),
        "vector": vector,
        **{name: pa.int64() for name in ("tokens", "read", "windows")},
        "error": pa.string(),
    }
    if spans:
        schema |= {
            "span_ranges": pa.list_(pa.int64()),
            "span_vectors": pa.list_(pa.list_(pa.float16(), WIDTH)),
        }
    return pa.Table.from_pylist(list(rows), schema=pa.schema(schema))


def row(key: str, name: str | None = None, **changes: object) -> dict:
    made = {
        "id": key,
        "source": name or f"document {key}",
        "title": key,
        "content_hash": f"hash of {key}",
        "text": f"text of {key}",
        "size": 10,
        "known": False,
        "vector": [1.0, 2.0, 2.0, float(len(key))],
        "tokens": 7,
        "read": 6,
        "windows": 1,
        "error": None,
        "span_ranges": [0, 4, 4, 9],
        "span_vectors": [[1, 0, 0, 0], [0, 1, 0, 0]],
    }
    return made | changes


FAILED = {"vector": None, "tokens": None, "error": "is bad", "span_vectors": None}
KNOWN = {"vector": None, "tokens": None, "text": None, "known": True, "span_vectors": None}


def test_documents_are_added_replaced_left_alone_or_failed() -> None:
    store = MemoryStore(MADE_BY)
    list(to_store([table(row("a"), row("b"))], store))
    new = table(row("a2", "document a"), row("b", **KNOWN), row("bad", **FAILED), row("c"))
    outcomes = list(to_store([new], store))
    assert [(one.name, one.status) for one in outcomes] == [
        ("document a", "replaced"),
        ("document b", "unchanged"),
        ("document bad", "failed"),
        ("document c", "added"),
    ]
    assert outcomes[2].reason == "is bad"
    assert (outcomes[0].tokens, outcomes[0].read) == (7, 6)
    assert contents(store).keys() == {"a2", "b", "c"}
    text, data, vector = contents(store)["c"]
    assert (text, data["source"], data["read"]) == ("text of c", "document c", 6)
    assert vector == pytest.approx([1, 2, 2, 1])


def test_what_a_kill_has_left_of_an_earlier_version_is_removed() -> None:
    store = MemoryStore(MADE_BY)
    for version in ("old", "new"):
        other = MemoryStore(MADE_BY)
        list(to_store([table(row(version, "x"))], other))
        store.write(other.get([version]))
    (outcome,) = to_store([table(row("new", "x", **KNOWN))], store)
    assert outcome.status == "unchanged"
    assert contents(store).keys() == {"new"}


def test_a_version_that_fails_leaves_the_earlier_one() -> None:
    store = MemoryStore(MADE_BY)
    list(to_store([table(row("a", "x"))], store))
    (outcome,) = to_store([table(row("b", "x", **FAILED))], store)
    assert outcome.reason == "is bad; the store keeps its earlier version"
    assert contents(store).keys() == {"a"}


def test_the_second_of_a_name_fails() -> None:
    store = MemoryStore(MADE_BY)
    tables = [table(row("a", "x"), row("b", "x")), table(row("c", "x"))]
    assert [one.status for one in to_store(tables, store)] == ["added", "failed", "failed"]
    assert contents(store).keys() == {"a"}


def test_spans_are_written_with_their_documents(tmp_path) -> None:
    store = SpannedStore(MemoryStore(MADE_BY), SpanFile(tmp_path, "documents"))
    first = row("a", span_ranges=[0, 9], span_vectors=[[0, 0, 1, 0]])
    list(to_store([table(row("bad", **FAILED), first, row("b"), spans=True)], store))
    found = {one.id: one for one in store.spans.read(store.fingerprint)}
    assert found.keys() == {"a", "b"}
    assert found["a"].vectors.tolist() == [[0, 0, 1, 0]]
    assert found["b"].ranges.tolist() == [[0, 4], [4, 9]]
    assert np.linalg.norm(found["b"].document) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("by_url", [False, True])
def test_files_are_written_once_however_often(tmp_path, by_url) -> None:
    place = (tmp_path / "out").as_uri() if by_url else str(tmp_path / "out")
    write = WriteParquet(place)
    assert ids_in_parquet(place) == []
    rows = table(row("a"), row("bad", **FAILED), row("b", **KNOWN))
    for _ in range(2):
        told = write(rows)
    files = sorted(path.name.partition("-")[0] for path in (tmp_path / "out").iterdir())
    assert files == ["failed", "part"]
    assert ids_in_parquet(place) == ["a"]
    statuses = [one.status for one in outcomes_of([told])]
    assert statuses == ["added", "failed", "unchanged"]
    (part,) = (tmp_path / "out").glob("part-*")
    assert parquet.read_table(part)["vector"].to_pylist() == [[1, 2, 2, 1]]


def test_vectors_of_two_kinds_do_not_share_a_folder(tmp_path) -> None:
    place = str(tmp_path / "out")
    settle_provenance(place, MADE_BY)
    settle_provenance(place, MADE_BY)
    with pytest.raises(ConfigError, match="made differently"):
        settle_provenance(place, MADE_ANEW)
    other = tmp_path / "other"
    other.mkdir()
    parquet.write_table(pa.table({"id": ["x"]}), other / "part-x.parquet")
    with pytest.raises(ConfigError, match="nothing tells how they were made"):
        settle_provenance(str(other), MADE_BY)


def test_a_damaged_folder_is_told(tmp_path) -> None:
    (tmp_path / "part-x.parquet").write_bytes(b"junk")
    with pytest.raises(StoreError, match="cannot read"):
        ids_in_parquet(str(tmp_path))


@pytest.mark.parametrize("known", [[], ["b" * 32], ["0" * 32, "a" * 32, "c" * 32]])
def test_what_is_known_has_no_text(known) -> None:
    rows = table(*(row(letter * 32) for letter in "abc")).drop_columns(["known"])
    found = without_known(rows, np.sort(np.array(known or [""], dtype="S32"))).to_pylist()
    assert [one["known"] for one in found] == [letter * 32 in known for letter in "abc"]
    assert all((one["text"] is None) == one["known"] for one in found)
