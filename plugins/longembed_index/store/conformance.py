"""Tests that every store must pass.

A package that brings a kind of store runs them in a test module:

class TestMyStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path):
        return MyStores().open(tmp_path, "documents", create=INFO, write=True)

class TestMyKind(StoreKindTests):
    @pytest.fixture
    def kind(self):
        return MyStores()
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longembed_index.document import Document, Entry, Units
from longembed_index.errors import StoreError
from longembed_index.store.conformance_data import (
    FILTERED,
    FILTERS,
    INFO,
    LEFT_OUT,
    OTHER_INFO,
    TOLERANCE,
    UNICODE,
    UNIT_TOLERANCE,
    contents,
    expected,
    record,
)
from longembed_index.store.filters import matches
from longembed_index.store.protocol import Store, StoreInfo, StoreKind

__all__ = ["INFO", "OTHER_INFO", "StoreKindTests", "StoreTests", "contents", "expected", "record"]

_QUERY = np.array([1, 0, 0], dtype=np.float32)


class StoreTests:
    """What `longembed_index.store.protocol.Store` promises.

    A subclass has a fixture `store`, and overrides `reopen` if its stores are on disk.
    """

    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store with the description `INFO`, open for writing."""
        raise NotImplementedError("give the fixture `store`")

    def reopen(self, store: Store) -> Store:
        """Return the same store as another process would open it now for reading.

        Args:
            store: It stays open.
        """
        return store

    # Reading and writing.

    def test_a_new_store_is_empty(self, store: Store) -> None:
        """An empty store has answers, not errors."""
        assert contents(store) == {}
        assert store.get(["a"]) == store.get([]) == []
        assert store.vectors([])[0] == []
        assert list(store.units(["a"])) == []
        assert store.nearest(_QUERY, 3) == []

    def test_what_is_written_is_read_back(self, store: Store) -> None:
        """Everything comes back as it was, here and where the store is opened next."""
        records = [
            record("a"),
            record("b", text="another", page=3, share=0.5, draft=True, tags=["x", None, {"y": 1}]),
            replace(record("c"), document=Document("c", "text", {}, "A title"), units=None),
        ]
        store.write(records)
        for opened in (store, self.reopen(store)):
            assert contents(opened) == expected(*records)

    def test_texts_are_kept_unaltered(self, store: Store) -> None:
        """Any text is kept: NUL and lone surrogates, too, and in metadata and titles."""
        records = []
        for number, text in enumerate([*UNICODE, "a\0b", "\ud800 \udcff", "", "long " * 100_000]):
            written = record(str(number), text=text, beginning=text[:100])
            title = text[:100] or "none"
            records.append(replace(written, document=replace(written.document, title=title)))
        store.write(records)
        assert contents(store) == expected(*records)

    def test_ids_may_be_any_valid_text(self, store: Store) -> None:
        """Ids are names and paths."""
        keys = sorted([*UNICODE, "", "a\0b", "a\0c", "%", "a" * 5000])
        store.write([record(key) for key in keys])
        for number, key in enumerate(keys):
            assert [each.document.id for each in store.get([key])] == [key]
            assert [key for key, _ in store.units([key])] == store.vectors([key])[0] == [key]
            store.write([], delete=[key])
            assert [entry.id for entry in store.entries()] == keys[number + 1 :]

    def test_records_come_in_the_order_of_the_ids(self, store: Store) -> None:
        """Ids that do not exist are passed over, also those that cannot exist."""
        store.write([record(key) for key in "abc"])
        ids = ["c", "missing", "\ud800", "a"]
        assert [each.document.id for each in store.get(ids)] == ["c", "a"]
        assert all(each.units is None for each in store.get(ids))
        assert store.vectors(ids)[0] == ["c", "a"]
        assert [key for key, _ in store.units(ids)] == ["c", "a"]

    def test_many_documents_are_read_and_deleted(self, store: Store) -> None:
        """A store that reads page by page loses nothing between the pages."""
        records = [record(f"key {number}") for number in range(2500)]
        for start in range(0, len(records), 500):
            store.write(records[start : start + 500])
        ids = [written.document.id for written in records]
        assert [each.document.id for each in store.get(ids)] == ids
        assert [key for key, _ in store.units(ids)] == store.vectors(ids)[0] == ids
        assert contents(store).keys() == set(ids)
        store.write([], delete=ids[1:])
        assert contents(store) == expected(records[0])

    def test_a_record_with_the_same_id_is_replaced(self, store: Store) -> None:
        """Nothing of the old one is left: no metadata, no units."""
        store.write([record("a", 1, 0, 0, shelf="left"), record("b")])
        changed = replace(record("a", 0, 1, 0, text="changed", row=2), units=None)
        store.write([changed])
        assert contents(store) == expected(changed, record("b"))

    def test_a_document_is_renamed_in_one_write(self, store: Store) -> None:
        """Records and deletions go together; deleting what does not exist is not an error."""
        store.write([record("old", 1, 0, 0), record("b")])
        store.write([record("new", 1, 0, 0)], delete=["old", "missing"])
        assert contents(store) == expected(record("new", 1, 0, 0), record("b"))

    def test_copies_of_a_text_do_not_depend_on_each_other(self, store: Store) -> None:
        """A store may keep a text once; deleting one copy leaves the others."""
        store.write([record("a", text="same"), record("b", text="same")])
        store.write([record("a", text="changed")])
        assert contents(store) == expected(record("a", text="changed"), record("b", text="same"))

    def test_all_of_a_batch_is_written_or_nothing(self, store: Store) -> None:
        """A vector that cannot be stored takes its batch with it, deletions included."""
        store.write([record("a")])
        for wrong in ((1.0, 2.0, 3.0, 4.0), (1.0, float("nan"), 0.0)):
            batch = [record("b"), replace(record("c"), vector=np.array(wrong, dtype=np.float32))]
            with pytest.raises(StoreError):
                store.write(batch, delete=["a"])
            assert contents(store) == expected(record("a"))

    def test_vectors_become_unit_vectors(self, store: Store) -> None:
        """Their lengths say nothing, those of units do; a zero vector stays one."""
        vectors = {"long": (0, 9, 0), "short": (0, 0, 0.1), "zero": (0, 0, 0)}
        for key, vector in vectors.items():
            values = np.array(vector, dtype=np.float32)
            units = Units(np.array([[0, 1]]), np.array([1]), values[None])
            store.write([replace(record(key), vector=values, units=units)])
        for key, values in (*zip(*store.vectors(), strict=True),):
            assert values.tolist() == pytest.approx(np.sign(vectors[key]).tolist())
        for key, units in store.units():
            assert units.vectors[0].tolist() == pytest.approx(vectors[key], rel=0.01)

    def test_a_copied_record_has_the_same_vectors(self, store: Store) -> None:
        """Reading and writing again rounds no document's vector: moved documents keep theirs."""
        store.write([record("a", 1, 2, 3)])
        (copied,) = store.get(["a"])
        (_, units), *_ = store.units(["a"])
        store.write([replace(copied, document=replace(copied.document, id="b"), units=units)])
        first, second = store.get(["a", "b"])
        assert first.vector.tolist() == second.vector.tolist()
        (_, copied_units), *_ = store.units(["b"])
        assert copied_units.vectors == pytest.approx(units.vectors, abs=UNIT_TOLERANCE)

    def test_the_generation_grows_with_every_commit(self, store: Store) -> None:
        """Another reader sees it grow, too, and then what was written."""
        reader = self.reopen(store)

        def switch() -> None:
            store.stage(INFO).write([record("b")])
            store.switch()

        generations = [reader.generation]
        for change in (
            lambda: store.write([record("a")]),
            lambda: store.write([], delete=["a"]),
            lambda: store.update_info(OTHER_INFO),
            switch,
        ):
            change()
            assert store.generation == reader.generation
            generations.append(reader.generation)
        assert sorted(set(generations)) == generations
        assert contents(reader) == expected(record("b"))

    # Filters and nearest documents.

    def test_filters_select_what_matches(self, store: Store) -> None:
        """Whatever a store leaves to its database, the result is that of `filters.matches`."""
        store.write([record(key, **metadata) for key, metadata in FILTERED.items()])
        entries = list(store.entries())
        assert len(entries) == len(FILTERED)
        for where in FILTERS:
            ids = [entry.id for entry in entries if matches(entry.fields, where)]
            assert [entry.id for entry in store.entries(where)] == ids, where
            nearest = [key for key, _ in store.nearest(_QUERY, 10, where)]
            assert sorted(nearest) == ids, where

    def test_the_nearest_come_first(self, store: Store) -> None:
        """Scores are cosines, whatever the length of the query; documents of one score by id."""
        vectors = {"z": (0, 0, 1), "xy": (1, 1, 0), "x": (1, 0, 0), "y2": (0, 1, 0), "y": (0, 1, 0)}
        store.write([record(key, *vector) for key, vector in vectors.items()])
        for k in (1, 3, 100):
            nearest = store.nearest(3 * _QUERY, k)
            assert [key for key, _ in nearest] == ["x", "xy", "y", "y2", "z"][:k]
            scores = [score for _, score in nearest]
            assert scores == pytest.approx([1, 0.5**0.5, 0, 0, 0][:k], abs=TOLERANCE)
        store.write([], delete=["x"])
        assert store.nearest(_QUERY, 1)[0][0] == "xy"

    def test_k_counts_documents_that_meet_the_filter(self, store: Store) -> None:
        """Nearer documents that do not meet it take no places."""
        store.write([record(f"near {n}", 1, 0, 0, shelf="left") for n in range(50)])
        store.write([record(f"far {n}", 0, 1, 0, shelf="right") for n in range(2)])
        nearest = [key for key, _ in store.nearest(_QUERY, 2, {"shelf": "right"})]
        assert nearest == ["far 0", "far 1"]

    # The description of a store.

    def test_what_it_is_meant_to_hold_is_remembered(self, store: Store) -> None:
        """It comes back as it was, and can be changed; the documents stay."""
        store.write([record("a")])
        for info in (INFO, OTHER_INFO):
            store.update_info(info)
            for opened in (store, self.reopen(store)):
                assert opened.info == info
                assert contents(opened) == expected(record("a"))

    # Replacing all vectors while the old ones answer.

    def test_nothing_is_staged_at_first(self, store: Store) -> None:
        """There is nothing to switch to, and nothing that was replaced."""
        assert store.staged() is None
        assert store.drop_replaced() == []
        with pytest.raises(StoreError):
            store.switch()

    def test_what_is_staged_does_not_show_before_the_switch(self, store: Store) -> None:
        """Readers go on with the old documents, whether they came before or after."""
        store.write([record("a", 1, 0, 0)])
        reader = self.reopen(store)
        staged = store.stage(OTHER_INFO)
        assert (len(staged), staged.info) == (0, OTHER_INFO)
        staged.write([record("a", 0, 1, 0), record("b", 0, 0, 1)])
        for opened in (store, reader, self.reopen(store)):
            assert contents(opened) == expected(record("a", 1, 0, 0))
            assert [key for key, _ in opened.nearest(_QUERY, 5)] == ["a"]
            assert opened.info == INFO

    def test_a_run_that_was_cut_off_is_resumed(self, store: Store) -> None:
        """What it staged is there for the next one; staging again begins anew."""
        store.write([record("a")])
        store.stage(OTHER_INFO).write([record("a", 0, 1, 0)])
        staged = self.reopen(store).staged()
        assert staged is not None
        assert staged.info == OTHER_INFO
        assert contents(staged) == expected(record("a", 0, 1, 0))
        again = store.stage(INFO)
        assert (contents(again), again.info) == ({}, INFO)

    def test_the_switch_shows_the_staged_documents(self, store: Store) -> None:
        """Documents and what they are meant to be change together, for all readers."""
        store.write([record("a", 1, 0, 0)])
        reader = self.reopen(store)
        reader.nearest(_QUERY, 1)
        # The vectors of another model can have other dimensions.
        records = [
            replace(record(key), vector=np.eye(5)[n], units=None) for n, key in enumerate("ab")
        ]
        store.stage(OTHER_INFO).write(records)
        assert store.switch()
        for opened in (store, reader, self.reopen(store)):
            assert contents(opened) == expected(*records)
            assert opened.info == OTHER_INFO
            assert opened.staged() is None
            assert opened.nearest(np.eye(5, dtype=np.float32)[1], 1)[0][0] == "b"

    def test_what_was_replaced_is_kept_until_it_is_dropped(self, store: Store) -> None:
        """Each switch keeps it under another name, and dropping leaves what is current."""
        store.write([record("a")])
        names = []
        for info in (OTHER_INFO, INFO):
            store.stage(info).write([record("a", 0, 1, 0)])
            names.append(store.switch())
        assert len(set(names)) == 2
        assert sorted(store.drop_replaced()) == sorted(names)
        assert store.drop_replaced() == []
        assert contents(self.reopen(store)) == expected(record("a", 0, 1, 0))

    def test_entries_tell_what_a_record_has(self, store: Store) -> None:
        """Counts and hashes can be had without the text."""
        written = record("/folder/a.txt", text="12345", left_out=LEFT_OUT, year=2019)
        store.write([written])
        about = ("/folder/a.txt", "a.txt", {"year": 2019}, "hash of /folder/a.txt")
        assert list(store.entries()) == [Entry(*about, 5, 7, 6, 1, 2, LEFT_OUT)]
        assert contents(self.reopen(store)) == expected(written)


class StoreKindTests:
    """What `longembed_index.store.protocol.StoreKind` promises; a subclass has a fixture `kind`."""

    @pytest.fixture
    def kind(self) -> StoreKind:
        """Return the kind of store."""
        raise NotImplementedError("give the fixture `kind`")

    def create(
        self,
        kind: StoreKind,
        folder: Path,
        *keys: str,
        collection: str = "documents",
        info: StoreInfo = INFO,
    ) -> None:
        """Create a collection with some documents, whose ids are the keys, and close it."""
        store = kind.open(folder, collection, create=info, write=True)
        store.write([record(key) for key in keys])
        store.close()

    def test_an_entry_point_can_name_it(self, kind: StoreKind) -> None:
        """It is a class that is called without arguments."""
        assert isinstance(type(kind)(), StoreKind)

    def test_it_recognises_its_own_folders_only(self, kind: StoreKind, tmp_path: Path) -> None:
        """Folders of other things are left to others."""
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "thesis.txt").write_text("years of work", encoding="utf8")
        (tmp_path / "store").mkdir()
        assert not any(map(kind.recognises, tmp_path.iterdir()))
        self.create(kind, tmp_path / "store", "a")
        assert kind.recognises(tmp_path / "store")

    def test_looking_creates_nothing(self, kind: StoreKind, tmp_path: Path) -> None:
        """Neither a folder nor a collection comes into being unless that is asked for."""
        assert kind.read_info(tmp_path / "nowhere", "documents") is None
        assert kind.read_info(tmp_path, "documents") is None
        for write in (False, True):
            with pytest.raises(StoreError):
                kind.open(tmp_path, "documents", create=None, write=write)
        assert list(tmp_path.iterdir()) == []
        self.create(kind, tmp_path, "a")
        assert kind.read_info(tmp_path, "papers") is None
        with pytest.raises(StoreError):
            kind.open(tmp_path, "papers", create=None, write=False)

    def test_an_existing_store_is_opened_as_it_is(self, kind: StoreKind, tmp_path: Path) -> None:
        """Whoever would create it finds what is there, meant for what it was meant for."""
        self.create(kind, tmp_path, "a")
        for create, write in ((None, False), (None, True), (OTHER_INFO, True)):
            store = kind.open(tmp_path, "documents", create=create, write=write)
            assert contents(store) == expected(record("a"))
            assert store.info == INFO
            store.close()
        assert kind.read_info(tmp_path, "documents") == INFO

    def test_who_reads_cannot_write(self, kind: StoreKind, tmp_path: Path) -> None:
        """Only one process may write, and has said so."""
        self.create(kind, tmp_path, "a")
        store = kind.open(tmp_path, "documents", create=None, write=False)
        with pytest.raises(StoreError):
            store.write([record("b")])
        assert contents(store) == expected(record("a"))
        store.close()

    def test_collections_in_one_folder_are_apart(self, kind: StoreKind, tmp_path: Path) -> None:
        """Each collection has its own documents and its own description."""
        self.create(kind, tmp_path, "a", "b")
        self.create(kind, tmp_path, "a", collection="papers", info=OTHER_INFO)
        store = kind.open(tmp_path, "papers", create=None, write=True)
        store.write([], delete=["a"])
        assert (contents(store), store.info) == ({}, OTHER_INFO)
        store.close()
        store = kind.open(tmp_path, "documents", create=None, write=False)
        assert (contents(store), store.info) == (expected(record("a"), record("b")), INFO)
        store.close()

    def test_the_size_grows_with_the_documents(self, kind: StoreKind, tmp_path: Path) -> None:
        """It is counted in bytes; a kind may not know it."""
        self.create(kind, tmp_path, "a")
        before = kind.size(tmp_path)
        store = kind.open(tmp_path, "documents", create=None, write=True)
        store.write([record("b", text="".join(map(chr, range(0x4E00, 0x9E00))) * 30)])
        store.close()
        after = kind.size(tmp_path)
        assert (before is None and after is None) or (before or 0) + 100_000 < (after or 0)
