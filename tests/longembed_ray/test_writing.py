"""Embedded rows become records of a store, or Parquet files, once each."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from longembed_index.errors import StoreError
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_ray import writing
from longembed_ray.columns import version_key
from longembed_ray.writing import (
    check_provenance,
    keys_in_parquet,
    outcomes_of,
    write_parquet,
    write_to_store,
)
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

PROVENANCE = Provenance(ModelSettings(model_name="some/model"), "one")
OTHER = Provenance(ModelSettings(model_name="some/model", method="pcw"), "two")
WIDTH = 4


def table(*rows: dict) -> pa.Table:
    names = ("id", "title", "metadata", "content_hash", "text", "error", "left_out")
    schema = {name: pa.string() for name in names}
    schema |= {name: pa.int64() for name in ("size", "tokens", "read", "windows", "unknown")}
    schema |= {
        "known": pa.bool_(),
        "vector": pa.list_(pa.float32(), WIDTH),
        "unit_ranges": pa.list_(pa.int64()),
        "unit_counts": pa.list_(pa.int64()),
        "unit_vectors": pa.list_(pa.list_(pa.float16())),
    }
    return pa.Table.from_pylist(list(rows), schema=pa.schema(schema))


def row(document_id: str, **changes: object) -> dict:
    return {
        "id": document_id,
        "title": f"title of {document_id}",
        "metadata": '{"year": 2019}',
        "content_hash": f"hash of {document_id}",
        "text": f"text of {document_id}",
        "size": 10,
        "known": False,
        "vector": [0.6, 0.0, 0.0, 0.8],
        "tokens": 7,
        "read": 6,
        "windows": 1,
        "unknown": 2,
        "left_out": '[{"where": "page 3", "what": "pictures", "count": 2}]',
        "error": None,
        "unit_ranges": [0, 4, 4, 9],
        "unit_counts": [3, 5],
        "unit_vectors": [[1, 0, 0, 0], [0, 1, 0, 0]],
    } | changes


FAILED = {
    "vector": None,
    "tokens": None,
    "error": "is bad",
    "unit_counts": None,
    "unit_vectors": None,
}
KNOWN = {
    "vector": None,
    "tokens": None,
    "text": None,
    "known": True,
    "unit_counts": None,
    "unit_vectors": None,
}


class CountingStore(MemoryStore):
    commits = 0

    def write(self, records, delete=()) -> None:
        self.commits += 1
        super().write(records, delete)


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(StoreInfo(PROVENANCE, units=True))


def write(store: MemoryStore, *tables: pa.Table) -> list[tuple[str, str]]:
    stored = {entry.id: entry.content_hash for entry in store.entries()}
    return [(done.id, done.status) for done in write_to_store(tables, store, stored)]


def ids(store: MemoryStore) -> list[str]:
    return [entry.id for entry in store.entries()]


def test_documents_are_added_replaced_left_alone_or_failed(store) -> None:
    write(store, table(row("a"), row("b")))
    changed = row("a", text="new text", content_hash="new hash")
    outcomes = write(store, table(changed, row("b", **KNOWN), row("bad", **FAILED), row("c")))
    assert outcomes == [("a", "replaced"), ("b", "unchanged"), ("bad", "failed"), ("c", "added")]
    a, b, c = store.get(["a", "b", "c"])
    assert (a.document.text, b.document.text) == ("new text", "text of b")
    assert (c.document.title, c.document.metadata) == ("title of c", {"year": 2019})
    assert (c.content_hash, c.coverage.tokens, c.coverage.read) == ("hash of c", 7, 6)
    np.testing.assert_allclose(c.vector, [0.6, 0, 0, 0.8], atol=1e-3)


def test_a_document_that_an_earlier_run_did_not_read_whole_is_named_again(store) -> None:
    write(store, table(row("a")))
    partly_read = {entry.id: entry for entry in store.entries()}
    known = table(row("a", **KNOWN))
    (outcome,) = write_to_store([known], store, {"a": "hash of a"}, partly_read)
    assert (outcome.tokens, outcome.tokens_read) == (7, 6)
    assert outcome.left_out == partly_read["a"].left_out != ()
    assert not outcome.is_embedded


def test_every_row_has_its_own_vector_and_units(store) -> None:
    first = row(
        "a", vector=[1, 0, 0, 0], unit_ranges=[0, 9], unit_counts=[7], unit_vectors=[[0, 0, 1, 0]]
    )
    without = row("c", unit_ranges=None, unit_counts=None, unit_vectors=None)
    # A table that is made of several, and a part of it, as Ray hands them over.
    rows = pa.concat_tables(
        [table(row("x"), row("bad", **FAILED)), table(first, row("b"), without)]
    )
    write(store, rows.slice(1))
    units = dict(store.units())
    assert units.keys() == {"a", "b"}
    np.testing.assert_allclose(units["a"].vectors, [[0, 0, 1, 0]], atol=1e-3)
    assert units["b"].ranges.tolist() == [[0, 4], [4, 9]]
    np.testing.assert_allclose(store.get(["a"])[0].vector, [1, 0, 0, 0], atol=1e-3)


def test_a_version_that_fails_leaves_the_earlier_one(store) -> None:
    write(store, table(row("a")))
    stored = {"a": "hash of a"}
    (outcome,) = write_to_store([table(row("a", content_hash="", **FAILED))], store, stored)
    assert outcome.reason == "is bad; the store keeps its earlier version"
    assert store.get(["a"])[0].document.text == "text of a"


def test_of_two_documents_with_one_id_the_first_is_written(store) -> None:
    other = row("a", text="other", content_hash="other hash")
    outcomes = write(store, table(row("a"), row("a"), other), table(other))
    assert [status for _, status in outcomes] == ["added", "unchanged", "failed", "failed"]
    assert store.get(["a"])[0].document.text == "text of a"


def test_many_documents_are_one_commit_and_outcomes_follow_it(store, monkeypatch) -> None:
    monkeypatch.setattr(writing, "COMMIT_RECORDS", 3)
    tables = [table(row(str(n))) for n in range(7)]
    for outcome in write_to_store(iter(tables), store, {}):
        assert outcome.id in ids(store)
    assert (store.commits, len(store)) == (3, 7)


def test_nothing_new_is_no_commit(store) -> None:
    assert write(store, table(row("a", **KNOWN))) == [("a", "unchanged")]
    assert store.commits == 0


def test_files_are_written_once_however_often(tmp_path) -> None:
    rows = table(row("a"), row("bad", **FAILED), row("b", **KNOWN))
    for out in (tmp_path / "out", tmp_path / "by url"):
        folder = out.as_uri() if out.name == "by url" else str(out)
        assert keys_in_parquet(folder) == []
        for _ in range(2):
            rest = write_parquet(rows, folder)
        assert sorted(path.name.partition("-")[0] for path in out.iterdir()) == ["failed", "part"]
        assert keys_in_parquet(folder) == [version_key("a", "hash of a")]
        assert [done.status for done in outcomes_of([rest])] == ["added", "failed", "unchanged"]
        (part,) = out.glob("part-*")
        vectors = parquet.read_table(part)["vector"].to_pylist()
        np.testing.assert_allclose(vectors, [[0.6, 0, 0, 0.8]])


def test_vectors_of_two_kinds_do_not_share_a_folder(tmp_path) -> None:
    folder = str(tmp_path / "out")
    for _ in range(2):
        check_provenance(folder, PROVENANCE)
    with pytest.raises(ConfigError, match="holds vectors that"):
        check_provenance(folder, OTHER)


def test_parquet_files_of_unknown_vectors_are_refused(tmp_path) -> None:
    write_parquet(table(row("a")), str(tmp_path))
    with pytest.raises(ConfigError, match=r"no longembed\.json"):
        check_provenance(str(tmp_path), PROVENANCE)


def test_a_damaged_folder_is_an_error(tmp_path) -> None:
    (tmp_path / "part-x.parquet").write_bytes(b"junk")
    with pytest.raises(StoreError, match="cannot read"):
        keys_in_parquet(str(tmp_path))
