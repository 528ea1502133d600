"""Tests that every store should pass; a package that brings one runs them in a test module.

    from longembed_index.testing import MADE_BY, StoreTests

    class TestMyStore(StoreTests):
        @pytest.fixture
        def store(self, tmp_path):
            with my_store(tmp_path, MADE_BY) as store:
                yield store

They need pytest, and no model: what a store says about models it only keeps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longembed_index.errors import StoreError
from longembed_index.passages import search_dense
from longembed_index.records import Record
from longembed_index.spans import (
    SpanEmbedder,
    SpanFile,
    SpanKeeper,
    SpannedStore,
    catch_up,
    without_spans,
)
from longembed_index.store import Store, StoreKind
from longembed_st.base.coverage import Coverage
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, LongEmbedError
from longembed_st.sentence_transformer.spans import SpanVectors

MADE_BY = Provenance(
    ModelSettings(model_name="some/model", method="pcw", original_max_seq_length=512),
    "sha256:one",
)
"""How the vectors of the stores under test are made."""

MADE_ANEW = Provenance(
    ModelSettings(
        model_name="some/model", method="pi", max_seq_length=4096, original_max_seq_length=512
    ),
    "sha256:two",
)
"""How those are made that are going to replace them."""

UNICODE = (
    "日本語 🙂 👩‍👩‍👧‍👦",
    "שלום עולם",
    "e\u0301 \u200b \u2028",
    "a\nb\tc\r\n",
    "'; DROP TABLE x; --",
)


def record(key: str, *vector: float, text: str = "a text", **metadata: Any) -> Record:
    """A record as ingestion writes it.

    Args:
        key: Its id; the document's name is `document <key>`.
        *vector: Three numbers; left out, they are made from the id.
        text: The document.
        **metadata: In addition.
    """
    data = {
        "source": f"document {key}",
        "title": key,
        "content_hash": f"hash of {key}",
        "tokens": 7,
        "read": 6,
        "windows": 1,
    }
    made = vector or (1.0, float(len(key)), float(sum(key.encode()) % 97))
    return Record(key, text, np.array(made, dtype=np.float32), data | metadata)


def contents(store: Store) -> dict[str, tuple[str | None, dict[str, Any], list[float]]]:
    """All of a store: text, metadata and vector by id.

    Args:
        store: The store.
    """
    found = store.get([record_id for record_id, _ in store.names()])
    return {r.id: (r.text, dict(r.metadata), [float(x) for x in r.vector]) for r in found}


def expected(*records: Record) -> dict[str, Any]:
    """What `contents` should find, within rounding.

    Args:
        *records: What was written.
    """
    return {
        r.id: (r.text, dict(r.metadata), pytest.approx([float(x) for x in r.vector], abs=1e-6))
        for r in records
    }


def lines_of(texts: list[str]) -> list[SpanVectors]:
    """Reads without a model: each line is a span, and vectors count the letters a, b and c.

    Args:
        texts: The texts.
    """

    def vector(text: str) -> Any:
        return np.array([text.count(letter) for letter in "abc"], dtype=np.float32)

    found = []
    for text in texts:
        lines = text.splitlines(keepends=True)
        ends = np.cumsum([len(line) for line in lines]).tolist()
        ranges = list(zip([0, *ends[:-1]], ends, strict=True))
        vectors = np.stack([vector(line) for line in lines])
        found.append(
            SpanVectors(vectors, ranges, vector(text), Coverage(len(text), len(text), len(lines)))
        )
    return found


def with_lines(store: Store, spans: SpanKeeper) -> SpannedStore:
    """A store whose documents have their lines as spans.

    Args:
        store: The store.
        spans: Where they are.
    """
    return SpannedStore(store, spans, SpanEmbedder(lines_of))


def write_lines(store: SpannedStore, **texts: str) -> None:
    """Embed and write documents, as ingestion does.

    Args:
        store: From `with_lines`.
        **texts: The documents, by id.
    """
    assert store.embedder is not None
    vectors = store.embedder(list(texts.values())).vectors
    store.write(
        [
            record(key, *map(float, vector), text=text)
            for (key, text), vector in zip(texts.items(), vectors, strict=True)
        ]
    )


class StoreTests:
    """What `longembed_index.store.Store` promises, one promise a test.

    A subclass has a fixture `store`, and overrides the other methods where its store differs.
    """

    @pytest.fixture
    def store(self) -> Store:
        """An empty store whose vectors are made by `MADE_BY`."""
        raise NotImplementedError("give the fixture `store`")

    def reopened(self, store: Store) -> Store:
        """The same store, as another process would find it now.

        Args:
            store: It may stay open.
        """
        return store

    def add_foreign(self, store: Store, record_id: str, vector: list[float]) -> None:
        """Store a vector without text or metadata, as a program that does not know us might.

        Args:
            store: Where.
            record_id: Its id.
            vector: The vector.
        """
        store.write([Record(record_id, None, vector, {})])

    def spans(self, folder: Path) -> SpanKeeper:
        """Where the spans of the store's documents are: in a file, or where the kind keeps them.

        Args:
            folder: For the file.
        """
        return SpanFile(folder, "documents")

    # Reading and writing.

    def test_a_new_store_is_empty(self, store: Store) -> None:
        """Nothing in it is an answer, never an error."""
        assert len(store) == 0
        assert list(store.names()) == []
        assert store.get(["a"]) == store.get([]) == []
        assert store.search([1.0, 0.0, 0.0], 3) == []

    def test_what_is_written_is_read_back(self, store: Store) -> None:
        """Text, metadata and vector come back as they were, in this process and the next."""
        records = [record("a"), record("b", text="another text", page=3, share=0.5, draft=True)]
        store.write(records)
        assert len(store) == 2
        for seen in (store, self.reopened(store)):
            assert contents(seen) == expected(*records)

    @pytest.mark.parametrize("text", [*UNICODE, "long " * 100_000])
    def test_texts_are_kept_unaltered(self, store: Store, text: str) -> None:
        """Whatever the script, and however long."""
        written = record("a", text=text, title=text[:100], source=text[:100])
        store.write([written])
        assert contents(store) == expected(written)
        assert list(store.names()) == [("a", text[:100])]

    @pytest.mark.parametrize("key", UNICODE)
    def test_ids_may_be_any_text(self, store: Store, key: str) -> None:
        """Ours are hexadecimal digits, those of other programs are not."""
        store.write([record(key), record("other")])
        assert [found.id for found in store.get([key])] == [key]
        store.delete([key])
        assert [record_id for record_id, _ in store.names()] == ["other"]

    def test_get_leaves_out_what_is_not_there(self, store: Store) -> None:
        """It is asked for ids that may have gone meanwhile."""
        store.write([record("a"), record("b")])
        assert [found.id for found in store.get(["missing", "b"])] == ["b"]

    def test_vectors_are_given_without_texts(self, store: Store) -> None:
        """Those that exist, as `get` has them."""
        store.write([record("a", 1, 0, 0), record("b", 0, 1, 0)])
        found = store.vectors(["b", "absent"])
        assert {key: list(vector) for key, vector in found.items()} == {"b": [0, 1, 0]}
        assert store.vectors([]) == {}

    def test_a_record_of_the_same_id_is_replaced(self, store: Store) -> None:
        """Nothing of the old one is left, not even metadata that the new one does not have."""
        store.write([record("a", 1, 0, 0, shelf="left"), record("b")])
        new = record("a", 0, 1, 0, text="changed", row=2)
        store.write([new])
        assert contents(store) == expected(new, record("b"))

    def test_all_of_a_batch_is_written_or_nothing(self, store: Store) -> None:
        """A vector of another dimension cannot be stored, and takes its batch with it."""
        store.write([record("a")])
        with pytest.raises(StoreError):
            store.write([record("b"), record("c", 1, 2, 3, 4)])
        assert contents(store) == expected(record("a"))

    def test_as_many_as_it_says_are_written_and_deleted_at_once(self, store: Store) -> None:
        """Ingestion sends batches of up to `max_batch` records."""
        keys = [f"key {i}" for i in range(min(store.max_batch, 500))]
        store.write([record(key) for key in keys])
        assert len(store) == len(keys) > 0
        store.delete(keys)
        assert len(store) == 0

    def test_names_gives_every_record_once(self, store: Store) -> None:
        """However many there are: a store that reads page by page must not lose any."""
        keys = [f"key {i}" for i in range(2500)]
        for start in range(0, len(keys), min(store.max_batch, 500)):
            store.write([record(key) for key in keys[start : start + min(store.max_batch, 500)]])
        assert sorted(store.names()) == sorted((key, f"document {key}") for key in keys)

    def test_records_are_found_by_a_value_of_their_metadata(self, store: Store) -> None:
        """For copies of documents; a value is text, and is met whole."""
        store.write([record("a", kind="x"), record("b", kind="x"), record("c", kind="xx")])
        assert sorted(store.having("kind", "x")) == ["a", "b"]
        assert store.having("content_hash", "hash of c") == ["c"]
        assert store.having("kind", "y") == store.having("no such key", "x") == []

    def test_records_are_deleted(self, store: Store) -> None:
        """What is not there, and nothing at all, can be deleted, too."""
        store.write([record("a"), record("b")])
        for ids in ([], ["missing"], ["a", "missing"]):
            store.delete(ids)
        assert contents(store) == expected(record("b"))

    def test_a_record_of_another_program_goes_by_its_id(self, store: Store) -> None:
        """It has no name, no title and perhaps no text, and disturbs nothing."""
        store.write([record("a", 1, 0, 0)])
        self.add_foreign(store, "theirs", [0.0, 1.0, 0.0])
        assert sorted(store.names()) == [("a", "document a"), ("theirs", "theirs")]
        (found,) = store.get(["theirs"])
        assert (found.text, dict(found.metadata)) == (None, {})
        assert [match.id for match in store.search([0.0, 1.0, 0.0], 2)] == ["theirs", "a"]

    # Searching.

    def test_the_most_similar_come_first(self, store: Store) -> None:
        """By the cosine of the angle, which does not depend on the lengths of the vectors."""
        store.write([record("x", 5, 0, 0), record("xy", 1, 1, 0), record("z", 0, 0, 2)])
        found = store.search(np.array([3, 0, 0], dtype=np.float32), 3)
        assert [match.id for match in found] == ["x", "xy", "z"]
        assert [match.score for match in found] == pytest.approx([1, 0.5**0.5, 0], abs=1e-5)
        assert dict(found[0].metadata) == dict(record("x").metadata)

    @pytest.mark.parametrize("k", [1, 2, 100])
    def test_there_are_k_matches_if_there_are_so_many_records(self, store: Store, k: int) -> None:
        """Asking for more than there are is no error."""
        store.write([record("a"), record("b")])
        assert len(store.search([1.0, 2.0, 3.0], k)) == min(k, 2)

    def test_nothing_is_lost_from_a_sound_store(self, store: Store) -> None:
        """What was written can be found, in this process and the next."""
        store.write([record("a"), record("b")])
        store.delete(["b"])
        for seen in (store, self.reopened(store)):
            assert seen.lost() == []

    # How the vectors are made.

    def test_how_vectors_are_made_is_remembered(self, store: Store) -> None:
        """Settings and fingerprint come back as they were given."""
        for seen in (store, self.reopened(store)):
            assert seen.provenance.to_dict() == MADE_BY.to_dict()

    def test_a_model_can_get_another_name(self, store: Store) -> None:
        """Its vectors stay the same; who opens the store next is told the new name."""
        store.write([record("a")])
        moved = Provenance(
            MADE_BY.settings.model_copy(update={"model_name": "moved/model"}), MADE_BY.fingerprint
        )
        store.provenance = moved
        for seen in (store, self.reopened(store)):
            assert seen.provenance.to_dict() == moved.to_dict()
            assert contents(seen) == expected(record("a"))

    # Replacing all vectors while the old ones answer.

    def test_nothing_is_staged_at_first(self, store: Store) -> None:
        """And nothing kept."""
        assert store.staged() is None
        assert store.drop_kept() == []

    def test_what_is_staged_shows_nowhere_before_the_switch(self, store: Store) -> None:
        """Readers go on with the old records, whether they came before or after."""
        store.write([record("a", 1, 0, 0)])
        reader = self.reopened(store)
        staged = store.stage(MADE_ANEW)
        assert len(staged) == 0
        assert staged.provenance.to_dict() == MADE_ANEW.to_dict()
        staged.write([record("a", 0, 1, 0), record("b", 0, 0, 1)])
        for seen in (store, reader, self.reopened(store)):
            assert contents(seen) == expected(record("a", 1, 0, 0))
            assert [match.id for match in seen.search([0.0, 0.0, 1.0], 5)] == ["a"]
            assert seen.provenance.to_dict() == MADE_BY.to_dict()

    def test_a_run_that_was_cut_off_is_resumed(self, store: Store) -> None:
        """What it staged is found by the next one, which may be another process."""
        store.write([record("a"), record("b")])
        store.stage(MADE_ANEW).write([record("a", 0, 1, 0)])
        staged = self.reopened(store).staged()
        assert staged is not None
        assert staged.provenance.to_dict() == MADE_ANEW.to_dict()
        assert contents(staged) == expected(record("a", 0, 1, 0))

    def test_staging_again_begins_anew(self, store: Store) -> None:
        """What was staged for other settings is thrown away."""
        store.stage(MADE_BY).write([record("a")])
        staged = store.stage(MADE_ANEW)
        assert len(staged) == 0
        assert staged.provenance.to_dict() == MADE_ANEW.to_dict()

    def test_the_switch_puts_the_new_records_in_the_place_of_the_old(self, store: Store) -> None:
        """Records and provenance change together; a reader from before is not stopped."""
        store.write([record("a", 1, 0, 0)])
        reader = self.reopened(store)
        store.stage(MADE_ANEW).write([record("a", 0, 1, 0), record("b", 0, 0, 1)])
        assert store.switch()
        for seen in (store, self.reopened(store)):
            assert contents(seen) == expected(record("a", 0, 1, 0), record("b", 0, 0, 1))
            assert seen.provenance.to_dict() == MADE_ANEW.to_dict()
            assert seen.staged() is None
        assert [match.id for match in reader.search([1.0, 0.0, 0.0], 1)]

    def test_old_records_are_kept_until_they_are_dropped(self, store: Store) -> None:
        """Each switch keeps under another name, and dropping leaves what is current."""
        store.write([record("a")])
        names = []
        for made in (MADE_ANEW, MADE_BY):
            store.stage(made).write([record("a", 0, 1, 0)])
            names.append(store.switch())
        assert len(set(names)) == 2
        assert sorted(self.reopened(store).drop_kept()) == sorted(names)
        assert store.drop_kept() == []
        assert contents(store) == expected(record("a", 0, 1, 0))

    # Spans, which a file beside the store keeps for its records.

    def test_spans_come_and_go_with_their_records(self, store: Store, tmp_path: Path) -> None:
        """Written before them, deleted after them; what the file has alone does not count."""
        spanned = with_lines(store, self.spans(tmp_path))
        write_lines(spanned, a="aa\nbb", b="cc")
        assert spanned.spans.ids(spanned.fingerprint) == {"a", "b"}
        write_lines(spanned, a="cc\nbb\naa")
        (changed,) = spanned.spans.read(spanned.fingerprint, ["a"])
        assert changed.ranges.tolist() == [[0, 3], [3, 6], [6, 8]]
        spanned.delete(["a"])
        assert spanned.spans.ids(spanned.fingerprint) == {"b"}
        store.delete(["b"])
        assert search_dense(spanned, [1.0, 0.0, 0.0], 5) == []

    def test_a_hit_is_a_document_with_its_passages(self, store: Store, tmp_path: Path) -> None:
        """As many documents as asked for, the best for certain, however many spans one has."""
        spanned = with_lines(store, self.spans(tmp_path))
        write_lines(spanned, many="aac\n" * 200, one="aaa\nccc", none="ccc")
        found = search_dense(spanned, [1.0, 0.0, 0.0], 2)
        assert [hit.hit.title for hit in found] == ["many", "one"]
        (passage,) = found[1].passages
        assert passage.text == "aaa\n"
        assert found[1].text[passage.start : passage.end] == passage.text
        assert found[1].span_score == pytest.approx(1, abs=1e-3)

    def test_documents_without_spans_are_found_too(self, store: Store, tmp_path: Path) -> None:
        """Those of a store that was made before, by their own vectors; then they get spans."""
        store.write([record("old", 1, 0, 0, text="aa\nbb")])
        spanned = with_lines(store, self.spans(tmp_path))
        write_lines(spanned, new="cc")
        (first, _) = search_dense(spanned, [1.0, 0.0, 0.0], 2)
        assert (first.hit.title, first.passages) == ("old", [])
        assert without_spans(spanned) == ["old"]
        assert catch_up(spanned, SpanEmbedder(lines_of)) == []
        (first, _) = search_dense(spanned, [0.0, 1.0, 0.0], 2)
        assert first.passages[0].text == "bb"

    def test_spans_are_switched_with_their_records(self, store: Store, tmp_path: Path) -> None:
        """The old ones answer until then, and go when the old records are dropped."""
        spanned = with_lines(store, self.spans(tmp_path))
        write_lines(spanned, a="aa\nbb")
        before = search_dense(spanned, [0.0, 1.0, 0.0], 1)
        staged = spanned.stage(MADE_ANEW)
        assert isinstance(staged, SpannedStore)
        write_lines(staged, a="aa\nbb")
        assert search_dense(spanned, [0.0, 1.0, 0.0], 1) == before
        spanned.switch()
        assert spanned.fingerprint == MADE_ANEW.fingerprint
        assert search_dense(spanned, [0.0, 1.0, 0.0], 1)[0].passages == before[0].passages
        spanned.drop_kept()
        assert spanned.spans.ids(str(MADE_BY.fingerprint)) == set()


class StoreKindTests:
    """What `longembed_index.store.StoreKind` promises; a subclass has a fixture `kind`."""

    @pytest.fixture
    def kind(self) -> StoreKind:
        """The kind of store."""
        raise NotImplementedError("give the fixture `kind`")

    def test_it_is_what_its_entry_point_should_name(self, kind: StoreKind) -> None:
        """A class of this kind, without arguments."""
        assert isinstance(type(kind)(), StoreKind)

    def test_it_recognises_its_own_folders_only(self, kind: StoreKind, tmp_path: Path) -> None:
        """Folders of other things are left to others."""
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "thesis.txt").write_text("years of work")
        (tmp_path / "store").mkdir()
        assert not any(map(kind.recognises, tmp_path.iterdir()))
        with kind.open(tmp_path / "store", "documents", MADE_BY):
            pass
        assert kind.recognises(tmp_path / "store")

    def test_what_is_not_there_is_not_made_by_looking(
        self, kind: StoreKind, tmp_path: Path
    ) -> None:
        """Neither a folder nor a collection comes into being unless it is asked for."""
        assert kind.read_provenance(tmp_path / "nowhere", "documents") is None
        assert kind.read_provenance(tmp_path, "documents") is None
        assert list(tmp_path.iterdir()) == []
        with kind.open(tmp_path, "documents", MADE_BY):
            pass
        assert kind.read_provenance(tmp_path, "papers") is None
        with pytest.raises((StoreError, ConfigError)), kind.open(tmp_path, "papers", None):
            pass

    def test_what_is_written_is_there_when_opened_again(
        self, kind: StoreKind, tmp_path: Path
    ) -> None:
        """Whoever opens it to create it finds what is there, made as it was made."""
        with kind.open(tmp_path, "documents", MADE_BY) as store:
            store.write([record("a")])
        for create in (None, MADE_ANEW):
            with kind.open(tmp_path, "documents", create) as store:
                assert contents(store) == expected(record("a"))
                assert store.provenance.to_dict() == MADE_BY.to_dict()
        found = kind.read_provenance(tmp_path, "documents")
        assert found is not None
        assert found.to_dict() == MADE_BY.to_dict()

    def test_collections_in_one_folder_are_apart(self, kind: StoreKind, tmp_path: Path) -> None:
        """Each has its own records and its own settings."""
        for name, made, key in (("documents", MADE_BY, "a"), ("papers", MADE_ANEW, "b")):
            with kind.open(tmp_path, name, made) as store:
                store.write([record(key)])
        for name, made, key in (("documents", MADE_BY, "a"), ("papers", MADE_ANEW, "b")):
            with kind.open(tmp_path, name, None) as store:
                assert contents(store) == expected(record(key))
                assert store.provenance.to_dict() == made.to_dict()

    def test_a_mistake_is_an_error_of_ours(self, kind: StoreKind, tmp_path: Path) -> None:
        """Commands end on those in one line."""
        with (
            kind.open(tmp_path, "documents", MADE_BY) as store,
            pytest.raises(LongEmbedError),
        ):
            store.write([record("a", 1, 2, 3), record("b", 1, 2)])
