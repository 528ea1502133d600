from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faulty import ANYTHING, Unwell
from index_fakes import (
    CutStore,
    FakeModel,
    LossyStore,
    embed_with,
    records_of,
    sources,
    texts_of,
)

from longembed_index.document import Document
from longembed_index.documents.files import emptied_folders, find_files
from longembed_index.documents.parsed import LeftOut, Parsed
from longembed_index.documents.sources import TextSource
from longembed_index.errors import StoreError
from longembed_index.maintain import ingest as ingesting
from longembed_index.maintain.embedding import embedder_of
from longembed_index.maintain.ingest import ingest
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError, LongEmbedError, ModelError

LONG = "The committee met on Tuesday to discuss the budget. " * 60


@pytest.fixture
def embed(model):
    return embed_with(model)


@pytest.fixture
def with_units(model) -> MemoryStore:
    """A store whose documents have units."""
    return MemoryStore(StoreInfo(model.provenance, units=True))


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    for place in ("old", "new"):
        (folder / place).mkdir(parents=True)
        for number in range(3):
            (folder / place / f"{number}.txt").write_text(f"{place} words of number {number} " * 9)
    return folder


def ingest_files(folder: Path, store, embed, **options):
    return ingest(find_files([folder]).files, store, embed, roots=[folder], **options)


def test_a_record_says_where_it_is_from_and_how_much_was_read(minilm) -> None:
    store = MemoryStore(StoreInfo(minilm.provenance))
    report = ingest(sources(long=LONG, short="a note"), store, embedder_of(minilm, units=False))
    long, short = store.get(["long", "short"])
    tokens = len(minilm.model.tokenizer(LONG, verbose=False)["input_ids"])
    assert (long.document.id, long.document.title, long.document.text) == ("long", "long", LONG)
    assert long.coverage.read == long.coverage.tokens >= tokens
    assert (long.coverage.passes > 1, short.coverage.passes) == (True, 1)
    np.testing.assert_allclose(long.vector, minilm.model.encode_document(LONG), atol=1e-5)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 0}
    assert report.tokens == report.tokens_read == long.coverage.tokens + short.coverage.tokens
    assert (report.share_read, report.in_store) == (1, 2)


def test_every_text_is_embedded_once_and_together(store, model, embed) -> None:
    ingest(sources(a="one", b="two", c="one"), store, embed)
    assert model.calls == [["one", "two"]]
    assert texts_of(store) == {"a": "one", "b": "two", "c": "one"}


def test_a_second_run_embeds_and_writes_nothing(model, embed) -> None:
    store = CutStore(StoreInfo(model.provenance))
    ingest(sources(a="one", b="two"), store, embed)
    report = ingest(sources(a="one", b="two"), store, embed)
    assert report.counts["unchanged"] == 2
    assert (store.sizes, store.generation) == ([2], 1)
    assert model.embedded == ["one", "two"]


def test_a_changed_document_replaces_its_record(store, embed) -> None:
    ingest(sources(a="one", b="two"), store, embed)
    report = ingest(sources(a="one, revised", b="two"), store, embed)
    assert report.counts == {"added": 0, "replaced": 1, "unchanged": 1, "failed": 0}
    assert texts_of(store) == {"a": "one, revised", "b": "two"}


def test_changed_metadata_alone_does_not_embed_again(with_units, model) -> None:
    embed = embed_with(model, units=True)
    ingest([TextSource(Document("a", LONG, {"year": 2019}))], with_units, embed)
    before = records_of(with_units)["a"]
    report = ingest([TextSource(Document("a", LONG, {"year": 2020}, "minutes"))], with_units, embed)
    after = records_of(with_units)["a"]
    assert (report.counts["replaced"], model.embedded) == (1, [LONG])
    assert (after.document.metadata, after.document.title) == ({"year": 2020}, "minutes")
    assert after.content_hash != before.content_hash
    np.testing.assert_allclose(after.vector, before.vector, atol=1e-6)
    np.testing.assert_allclose(after.units.vectors, before.units.vectors, atol=1e-6)


def test_equal_contents_of_two_batches_are_embedded_once(store, model, embed, tmp_path) -> None:
    texts = {"x.txt": "same", "y.txt": "more", "z.txt": "same", "w.md": "same"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = {file.path.name: file for file in find_files([tmp_path]).files}
    report = ingest([files[name] for name in texts], store, embed, batch_characters=1)
    # Another type of file may be read in another way.
    assert model.calls == [["same"], ["more"], ["same"]]
    assert report.counts["added"] == 4
    assert {Path(key).name: text for key, text in texts_of(store).items()} == texts


def test_a_document_without_valid_text_is_named_and_not_stored(store, minilm) -> None:
    texts = {"empty": "", "blank": "\u200b\ufeff \n\t\0", "bad": "bad \ud800 text"}
    documents = sources(good="fine", **texts)
    report = ingest(documents, store, embedder_of(minilm, units=True))
    assert texts_of(store) == {"good": "fine"}
    reasons = dict(report.failed)
    assert reasons.keys() == texts.keys()
    assert reasons["empty"] == "has no text"
    assert reasons["blank"] == "has no text"
    assert "lone surrogate (U+D800) at character 4" in reasons["bad"]


def test_ids_must_be_unicode_and_come_once(store, embed) -> None:
    documents = [Document("caf\udce9", "text"), Document("a", "one"), Document("a", "two")]
    report = ingest(map(TextSource, documents), store, embed)
    assert texts_of(store) == {"a": "one"}
    assert "name has the lone surrogate" in report.failed[0][1]
    assert report.failed[1] == ("a", "has the id of an earlier document of this run")


def test_one_bad_document_does_not_take_its_batch_with_it(store, model) -> None:
    def embed(texts):
        results = embed_with(model)(texts)
        pairs = zip(texts, results, strict=True)
        return [ModelError("no vector") if text == "bad" else result for text, result in pairs]

    report = ingest(sources(a="one", x="bad", c="three"), store, embed)
    assert texts_of(store) == {"a": "one", "c": "three"}
    assert report.failed == [("x", "no vector")]
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 1}


def test_an_error_that_is_not_ours_is_not_hidden(store) -> None:
    def embed(texts):
        raise MemoryError

    assert not issubclass(MemoryError, LongEmbedError)
    with pytest.raises(MemoryError):
        ingest(sources(a="one"), store, embed)


def test_a_failed_new_version_leaves_the_old_one_and_says_so(store, embed) -> None:
    ingest(sources(a="one"), store, embed)
    report = ingest(sources(a="  "), store, embed)
    assert texts_of(store) == {"a": "one"}
    assert report.failed == [("a", "has no text; the store keeps its earlier version")]


def test_batches_keep_to_characters_and_to_a_number(model, embed, monkeypatch) -> None:
    monkeypatch.setattr("longembed_index.maintain.ingest.BATCH_DOCUMENTS", 3)
    store = CutStore(StoreInfo(model.provenance))
    documents = sources(**{f"d{i}": f"wor{i} " * (100 if i == 0 else 1) for i in range(8)})
    ingest(documents, store, embed, batch_characters=400)
    assert store.sizes == [1, 3, 3, 1]


def test_every_document_is_reported_as_soon_as_it_is_settled(store, embed) -> None:
    seen = []
    ingest(
        sources(a="one", b="", c="three"),
        store,
        embed,
        on_outcome=lambda outcome: seen.append((outcome.id, outcome.status, len(store))),
        batch_characters=1,
    )
    assert seen == [("a", "added", 1), ("b", "failed", 1), ("c", "added", 2)]


def test_a_run_that_was_cut_off_ends_as_an_uninterrupted_one(model, embed) -> None:
    documents = sources(**{f"d{i}": f"document number {i}" for i in range(6)})
    store = CutStore(StoreInfo(model.provenance), commits=4)
    with pytest.raises(StoreError, match="cut off"):
        ingest(documents, store, embed, batch_characters=1)
    assert len(store) == 4
    store.left = float("inf")
    report = ingest(documents, store, embed, batch_characters=1)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 4, "failed": 0}
    assert texts_of(store) == {source.id: source.document.text for source in documents}


def test_nothing_is_asked_of_the_store_for_a_new_document(store, model, embed, monkeypatch) -> None:
    asked = []
    for name in ("get", "units", "vectors", "nearest"):
        monkeypatch.setattr(store, name, lambda *arguments, name=name: asked.append(name))
    report = ingest(sources(**{f"d{i}": f"number {i}" for i in range(50)}), store, embed)
    assert (report.counts["added"], asked) == (50, [])


def test_documents_read_in_part_are_named(store) -> None:
    settings = ModelSettings(model_name="some/one", max_seq_length=256, on_overflow="truncate")
    report = ingest(sources(long=LONG, short="a"), store, embed_with(FakeModel(settings)))
    (partly,) = report.partly_read
    assert (partly.id, partly.tokens_read) == ("long", 256)
    assert 0 < report.share_read < 1
    strict = FakeModel(settings.model_copy(update={"on_overflow": "error"}))
    report = ingest(sources(other=LONG + "x"), store, embed_with(strict))
    assert "longer than the window of 256" in report.failed[0][1]


def test_a_store_that_loses_records_is_not_believed(model, embed) -> None:
    with pytest.raises(StoreError, match="not in the store as they were written"):
        ingest(sources(a="one"), LossyStore(StoreInfo(model.provenance)), embed)


def test_a_reader_that_raises_anything_costs_one_document(store, embed) -> None:
    unwell = [Unwell(error) for error in ANYTHING]
    for number, source in enumerate(unwell):
        source.id = f"unwell {number}"
    report = ingest([*unwell, *sources(well="a text")], store, embed)
    assert texts_of(store) == {"well": "a text"}
    assert report.counts["failed"] == len(report.failed) == len(ANYTHING)
    assert all(reason.startswith("cannot be read: ") for _, reason in report.failed)


def test_units_are_written_with_their_documents(with_units, model, embed) -> None:
    ingest(sources(a=LONG), with_units, embed_with(model, units=True))
    ((document_id, units),) = with_units.units()
    assert (document_id, units.ranges[-1, 1]) == ("a", len(LONG.rstrip()))
    with pytest.raises(ConfigError, match="meant to have units"):
        ingest(sources(b="another text"), with_units, embed)


def test_a_document_that_has_lost_its_units_is_no_donor_of_vectors(with_units, model) -> None:
    ingest(sources(**{"a": LONG}), with_units, embed_with(model, units=True))
    (record,) = records_of(with_units).values()
    with_units.write([replace(record, units=None)])
    ingest(sources(**{"b": LONG}), with_units, embed_with(model, units=True))
    assert dict(with_units.units()).keys() == {"b"}
    assert model.embedded == [LONG, LONG]


# Files that are moved, copied or gone.


def test_a_moved_folder_is_not_embedded_again(with_units, model, docs) -> None:
    embed = embed_with(model, units=True)
    ingest_files(docs, with_units, embed)
    before = records_of(with_units)
    (docs / "old").rename(docs / "older")
    (docs / "older" / "3.txt").write_text("ban cor dim fel")
    model.calls.clear()
    report = ingest_files(docs, with_units, embed)
    assert model.embedded == ["ban cor dim fel"]
    assert report.moved == [str(docs / "older" / f"{number}.txt") for number in range(3)]
    assert (report.counts["added"], report.counts["unchanged"]) == (4, 3)
    assert (report.gone, report.in_store) == ([], 7)
    after = records_of(with_units)
    for number in range(3):
        old = before[str(docs / "old" / f"{number}.txt")]
        new = after[str(docs / "older" / f"{number}.txt")]
        assert str(docs / "old" / f"{number}.txt") not in after
        assert new.document.title == f"{number}.txt", "the name of the new file"
        assert (new.document.text, new.coverage) == (old.document.text, old.coverage)
        np.testing.assert_allclose(new.vector, old.vector, atol=1e-6)
        np.testing.assert_allclose(new.units.vectors, old.units.vectors, atol=1e-6)
    again = ingest_files(docs, with_units, embed)
    assert (again.counts["unchanged"], again.moved) == (7, [])


def test_a_copy_is_not_taken_for_moved(store, model, embed, docs) -> None:
    ingest_files(docs, store, embed)
    shutil.copy(docs / "old" / "0.txt", docs / "copy.txt")
    model.calls.clear()
    report = ingest_files(docs, store, embed)
    assert (model.embedded, report.moved, report.in_store) == ([], [], 7)
    # Moved and copied at once: one of the two is where it was moved to.
    (docs / "old" / "1.txt").rename(docs / "a.txt")
    shutil.copy(docs / "a.txt", docs / "b.txt")
    report = ingest_files(docs, store, embed)
    assert model.embedded == []
    assert (report.moved, report.counts["added"]) == ([str(docs / "a.txt")], 2)
    assert str(docs / "old" / "1.txt") not in texts_of(store)


def test_files_that_are_gone_are_named_and_removed_on_demand(store, embed, docs, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("from another place")
    ingest_files(docs, store, embed)
    ingest_files(elsewhere, store, embed)
    ingest(sources(contract="no file"), store, embed)
    gone = docs / "old" / "1.txt"
    gone.unlink()
    elsewhere.unlink()
    report = ingest_files(docs, store, embed)
    assert (report.gone, report.removed) == ([str(gone)], [])
    assert report.missing_elsewhere == [str(elsewhere)]
    report = ingest_files(docs, store, embed, prune=True)
    assert report.gone == report.removed == [str(gone)]
    assert texts_of(store).keys() >= {str(elsewhere), "contract"}
    assert len(store) == report.in_store == 7


def test_a_drive_that_comes_back_meanwhile_loses_nothing(store, embed, docs, monkeypatch) -> None:
    def come_back(*arguments):
        docs.with_name("elsewhere").rename(docs)
        return emptied_folders(*arguments)

    ingest_files(docs, store, embed)
    docs.rename(docs.with_name("elsewhere"))
    monkeypatch.setattr(ingesting, "emptied_folders", come_back)
    report = ingest([], store, embed, roots=[docs], prune=True)
    assert (len(report.gone), report.removed, len(store)) == (6, [], 6)


@pytest.mark.parametrize("vanish", [shutil.rmtree, lambda path: path.rename(path.parent / "x")])
def test_a_place_that_is_empty_loses_nothing(store, embed, docs, tmp_path, vanish) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("a.txt", "b.txt"):
        (other / name).write_text(f"another text {name}")
    roots = [docs, other]
    ingest(find_files(roots).files, store, embed, roots=roots)
    vanish(docs)
    docs.mkdir()
    (other / "a.txt").unlink()
    report = ingest(find_files(roots).files, store, embed, roots=roots, prune=True)
    assert len(report.gone) == 7
    assert report.removed == [str(other / "a.txt")], "the other place is pruned"
    assert f"no file under {docs} now, and the store has 6 documents" in report.kept_because
    assert "prune_empty_root=True" in report.kept_because
    assert len(store) == 7
    report = ingest(
        find_files(roots).files, store, embed, roots=roots, prune=True, prune_empty_root=True
    )
    assert (len(report.removed), report.kept_because, len(store)) == (6, "", 1)


class PartlyReadSource(TextSource):
    """A file of which a part is not in the text."""

    def read(self, content: bytes) -> Parsed:
        return Parsed(self.document.text, left_out=(LeftOut("pages 3-9", "pages without text", 7),))


def test_what_was_left_out_and_is_unknown_is_stored_and_reported_in_every_run() -> None:
    store = MemoryStore(StoreInfo(FakeModel().provenance))
    documents = [
        PartlyReadSource(Document("scan", "some words")),
        *sources(thai="[UNK] [UNK] word", plain="some other words", mostly="[UNK] " + "w " * 20),
    ]
    for status in ("added", "unchanged"):
        report = ingest(documents, store, embed_with(FakeModel()))
        assert report.counts[status] == 4
        assert not report.is_complete
        result = report.to_dict()
        assert result["left_out"] == [
            {"document": "scan", "where": "pages 3-9", "what": "pages without text", "count": 7}
        ]
        assert result["unknown"] == [{"document": "thai", "read": 3, "unknown": 2}]
    assert report.tokens == 0
    (record,) = store.get(["scan"])
    assert record.left_out == documents[0].read(b"").left_out
    # The content is another one, the text the same: its vector is kept.
    changed = [TextSource(Document("scan", "some words", {"scanned": False})), documents[2]]
    assert ingest(changed, store, embed_with(FakeModel())).is_complete
    assert store.get(["scan"])[0].left_out == ()
