"""The index as its users see it; models cost nothing here, so that torch is not even imported."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from fresh_process import run_fresh

from longembed_index import Document, Index
from longembed_index.errors import StoreError
from longembed_index.maintain.reindex import reindex
from longembed_index.search.ranking import Ranking
from longembed_index.store.kinds import open_store, writer_lock
from longembed_st.errors import ConfigError, InputError, TextNotReadWarning

TEXTS = {
    "budget": "The town council approved the budget for the new bridge on Monday evening.",
    "pets": "Cats and dogs are kept as pets, and some people keep birds in a cage.",
    "rain": "Heavy rain is forecast for the weekend, with strong wind along the coast.",
}


@pytest.fixture
def documents() -> list[Document]:
    return [Document(name, text, {"words": len(text.split())}) for name, text in TEXTS.items()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def index(place, documents, fake_models):
    with Index.open(place, "some/one") as index:
        index.add_documents(documents)
        yield index


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    for name, text in TEXTS.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "text.txt").write_text(text)
    return folder


def ids(hits) -> list[str]:
    return [hit.document.id for hit in hits]


# Opening.


def test_a_new_index_is_written_with_its_first_documents(place, documents, fake_models) -> None:
    with Index.open(place, "some/one") as index:
        assert (len(index), index.exists, index.generation, index.get("pets")) == (
            0,
            False,
            0,
            None,
        )
        assert list(index.documents()) == []
        assert index.model_name == "some/one"
        assert not index.is_model_loaded
        with pytest.raises(ConfigError, match=r"index in .*store is empty"):
            index.search("pets")
        with pytest.raises(StoreError, match=r"there is no index in .*store yet\. Add documents"):
            index.delete(["pets"])
        assert not place.exists()
        report = index.add_documents(documents)
        assert (report.counts["added"], report.in_store) == (3, 3)
        assert (len(index), index.exists, index.info.units) == (3, True, True)
    with Index.open(place) as again:
        assert again.get("pets") == documents[1]
        assert (again.get("absent"), again.model_name) == (None, "some/one")


@pytest.mark.parametrize("units", [True, False])
def test_a_first_run_that_was_killed_goes_on_as_it_was_meant(
    place, documents, fake_models, units
) -> None:
    """The description is in the first commit, before any document."""
    with Index.open(place, "some/one", units=units, language="english") as index:
        info = index._resources.new_info()
    open_store(place, create=info, write=True).close()
    with Index.open(place, "some/one") as index:
        index.add_documents(documents)
        assert index.info == info
        assert (index.info.units, index.info.language) == (units, "english")
        assert bool(dict(index._resources.existing_store().units())) == units


def test_without_a_model_there_must_be_an_index(place, tmp_path) -> None:
    with pytest.raises(StoreError, match=r"no index in .*store\. Name another folder"):
        Index.open(place)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(StoreError, match="is not a store"):
        Index.open(tmp_path, "some/one")
    assert not place.exists()


def test_what_does_not_go_with_the_stored_index_is_refused(index, place) -> None:
    with pytest.raises(ConfigError, match="max_seq_length is None in the store, 100 now"):
        Index.open(place, max_seq_length=100)
    with pytest.raises(ConfigError, match=r"with units.*reindex\(units=False\)"):
        Index.open(place, units=False)
    with pytest.raises(ConfigError, match=r"language must be one of .*, not 'klingon'"):
        Index.open(place, language="klingon")
    with pytest.raises(ConfigError, match=r"language of the index .* is .*, not german"):
        Index.open(place, language="german")
    with pytest.raises(ConfigError, match="kind 'sqlite', not 'lancedb'"):
        Index.open(f"lancedb:{place}")
    with Index.open(place, "another/model") as other, pytest.raises(ConfigError):
        other.search("pets")
    with Index.open(place, "moved/one", device="cpu", units=True) as moved:
        assert ids(moved.search("pets", k=1)) == ["pets"]
        moved.add_documents([Document("new", "a new text")])
    assert Index.open(place).model_name == "moved/one"


def test_the_model_is_loaded_for_new_documents_only(index, place, documents) -> None:
    steps: list[str] = []

    def note(step: str, done: int, total: int) -> None:
        steps.append(step)

    with Index.open(place) as again:
        assert again.add_documents(documents, on_step=note).counts["unchanged"] == 3
        assert not again.is_model_loaded
        again.add_documents([Document("new", "a new text")], on_step=note)
        again.add_documents([Document("newer", "a newer text")], on_step=note)
        assert again.is_model_loaded
        assert steps.count("model") == 1
    with Index.open(place, "another/model") as other, pytest.raises(ConfigError, match="different"):
        other.add_documents(documents)


def test_unchanged_files_need_no_libraries_of_models(index, docs, place) -> None:
    index.add(docs)
    code = """
        import io
        from contextlib import redirect_stdout
        from longembed_st.command.app import run
        with redirect_stdout(io.StringIO()) as output:
            code = run(["index", given[0], "--store", given[1]])
        answer([code, " ".join(output.getvalue().split())])
    """
    heavy = ("torch", "transformers", "sentence_transformers", "chromadb", "lancedb", "scipy")
    code, output = run_fresh(code, docs.parent, given=[str(docs), str(place)], blocked=heavy)
    assert code == 0
    assert "documents unchanged │ 3" in output


def test_language_and_ranking_are_set_before_the_first_document(place, fake_models) -> None:
    with Index.open(place, "some/one", language="german", units=False) as index:
        index.ranking = Ranking(mode="lexical", weight=0.7)
        index.add_documents([Document("a", "Die Häuser am Fluss")])
        assert (index.info.language, index.info.units) == ("german", False)
        assert index.search("Haus")[0].document.id == "a", "stemmed as German"
        index.ranking = Ranking(mode="dense")
    assert Index.open(place).ranking == Ranking(mode="dense")


def test_a_closed_index_says_so(index) -> None:
    index.close()
    with pytest.raises(StoreError, match="is closed"):
        index.search("pets")


# Search.


def test_documents_are_found_with_their_passages(index) -> None:
    for mode in ["hybrid", "dense", "lexical", None]:
        hits = index.search("who approved the budget?", k=2, mode=mode)
        best = hits[0]
        assert best.document == Document("budget", TEXTS["budget"], {"words": 13})
        assert best.passages[0].text in TEXTS["budget"]
        assert best.passages[0].sentence is not None
        assert best.score == max(hit.score for hit in hits)
        assert ids(index.search("pets", where={"words": {"gt": 13}}, mode=mode)) == ["pets"]
        assert index.search("pets", k=1, passages=0, mode=mode)[0].passages == ()


def test_a_blank_query_is_refused(index) -> None:
    for query in ("", " \n\u200b", "\0\u00ad", '""'):
        with pytest.raises(ConfigError, match="query is blank"):
            index.search(query)


def test_arguments_of_wrong_types_are_refused(index) -> None:
    with pytest.raises(ConfigError, match="the query must be a string, not None"):
        index.search(None)
    for k in ("3", 2.5, 0):
        with pytest.raises(ConfigError, match=f"k must be a whole number from 1, not {k!r}"):
            index.search("pets", k=k)
    with pytest.raises(ConfigError, match="passages must be a whole number from 0, not -1"):
        index.search("pets", passages=-1)
    assert len(index.search("pets", k=np.int64(1))) == 1


def test_a_comparison_with_a_type_that_no_document_has_is_said(index) -> None:
    for where in ({"tokens": {"gte": "10"}}, {"title": {"lt": 10}}):
        with pytest.raises(ConfigError, match=f"'{next(iter(where))}' .* numbers with numbers"):
            index.search("pets", where=where)
    for where in ({"tokens": {"gte": 10**9}}, {"tokens": "x"}, {"title": {"ne": 10, "lt": "A"}}):
        assert index.search("pets", where=where) == []


def test_a_query_that_is_cut_is_warned_of(place, documents, fake_models) -> None:
    with Index.open(place, "some/one", max_seq_length=4, on_overflow="warn") as index:
        index.add_documents(documents)
        with pytest.warns(TextNotReadWarning, match="2 tokens of 1 text were not read") as caught:
            index.search("what do people keep as pets?", mode="dense")
        assert caught[0].filename == __file__
        assert index.search("pets", mode="dense"), "no warning"


def test_words_alone_need_no_torch(index, place, tmp_path) -> None:
    code = """
        from longembed_index import Index
        with Index.open(given) as index:
            hits = index.search("budget of the bridge", mode="lexical", where={"words": 13})
            answer([hit.to_dict() for hit in hits])
    """
    heavy = ("torch", "transformers", "sentence_transformers", "chromadb", "lancedb", "scipy")
    (hit,) = run_fresh(code, tmp_path, given=str(place), blocked=heavy)
    assert (hit["source"], hit["passages"][0]["text"]) == ("budget", TEXTS["budget"])


def test_what_others_write_is_found_by_the_next_search(index, place) -> None:
    assert "late" not in ids(index.search("a late paper on snails"))
    generation = index.generation
    with Index.open(place) as other:
        other.add_documents([Document("late", "a late paper on snails")])
        other.delete(["rain"])
    assert index.generation > generation
    assert ids(index.search("a late paper on snails"))[0] == "late"
    assert "rain" not in ids(index.search("rain and wind"))


def test_what_others_reindex_is_asked_for_with_the_new_model(index, place, fake_models) -> None:
    assert ids(index.search("pets", mode="dense"))[0] == "pets"
    with Index.open(place) as other:
        other.reindex("some/two", max_seq_length=50)
    assert ids(index.search("pets", mode="dense"))[0] == "pets"
    assert index.model is fake_models["two auto 50"]


@pytest.mark.parametrize(
    "change",
    [{"model": "some/two", "max_seq_length": 50}, {"units": False}],
    ids=["model", "units"],
)
def test_what_is_reindexed_during_a_search_is_asked_again(
    index, place, fake_models, monkeypatch, change
) -> None:
    searcher = index._resources.searcher()
    search, calls = searcher.search, []

    def search_while_replaced(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            with Index.open(place) as other:
                other.reindex(**change)
            if "units" in change:
                raise StoreError("what was read is not there any more")
        return search(*arguments, **options)

    monkeypatch.setattr(searcher, "search", search_while_replaced)
    assert ids(index.search("pets", mode="dense"))[0] == "pets"
    assert len(calls) == 2
    assert index.model is fake_models[index.info.provenance.fingerprint]


@pytest.mark.parametrize("model", ["some/one", "some/two"])
def test_a_store_that_is_deleted_and_made_anew_is_opened_again(
    index, place, fake_models, model
) -> None:
    assert ids(index.search("a cage for birds"))[0] == "pets"
    shutil.rmtree(place)
    with pytest.raises(StoreError, match="was deleted while it was open"):
        index.search("a cage for birds")
    with Index.open(place, model) as other:
        other.add_documents([Document("zoo", "Birds and cats live in one cage of the zoo.")])
    assert ids(index.search("a cage for birds")) == ["zoo"]
    assert [entry.id for entry in index.documents()] == ["zoo"]
    assert index.model_name == model
    index.add_documents([Document("farm", "A cow gives milk.")])
    assert ids(index.search("milk", mode="lexical")) == ["farm"]


def test_threads_search_while_one_writes(index, place) -> None:
    wrong: list[object] = []

    def search() -> None:
        try:
            for _ in range(10):
                wrong.extend(h for h in [ids(index.search("pets"))[0]] if h != "pets")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    with Index.open(place) as writer:
        for number in range(5):
            writer.add_documents([Document(f"new {number}", f"text of number {number}")])
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(index) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on(index) -> None:
    # So that the vectors are loaded by the children.
    index.search("pets", mode="lexical")
    children = []
    # As if other threads of the parent were in the middle of opening and loading something.
    with index._resources._lock, index._resources.searcher()._lock:
        for _ in range(4):
            child = os.fork()
            if not child:
                status = 1
                signal.alarm(300)
                try:
                    best = {ids(index.search("pets", mode=m))[0] for m in ("hybrid", "lexical")}
                    status = 0 if best == {"pets"} else 2
                finally:
                    os._exit(status)
            children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert ids(index.search("pets"))[0] == "pets"


# Changes.


def test_documents_are_added_replaced_and_left_alone(index, documents, fake_models) -> None:
    (model,) = fake_models.values()
    model.calls.clear()
    changed = {"id": "pets", "text": "Only fish.", "metadata": {"words": 2}, "title": "Fish"}
    relabelled = Document("rain", TEXTS["rain"], {"words": 13, "year": 2020})
    report = index.add_documents([documents[0], changed, relabelled])
    assert report.counts == {"added": 0, "replaced": 2, "unchanged": 1, "failed": 0}
    assert model.embedded == ["Only fish."]
    assert index.get("pets") == Document(**changed)
    assert ids(index.search("rain", where={"year": 2020})) == ["rain"]
    assert index.verify() == 3


def test_a_document_that_fails_is_named(index) -> None:
    bad = [Document("a", " "), Document("b", "text", {"x": float("nan")}), Document("c", "text")]
    steps = []
    report = index.add_documents(bad, on_step=lambda *step: steps.append(step))
    assert [name for name, _ in report.failed] == ["a", "b"]
    assert report.counts["added"] == 1
    assert ("documents", 9, 9) in steps
    assert steps[-1][0] == "words"
    with pytest.raises(ConfigError, match="has 'id', 'body'"):
        index.add_documents([{"id": "a", "body": "text"}])


def test_documents_are_removed_with_their_words(index) -> None:
    assert index.delete(["pets", "absent"]) == 1
    assert index.delete("rain") == 1
    assert [entry.id for entry in index.documents()] == ["budget"]
    assert index.search("pets", mode="lexical") == []
    assert index.stats().words == 1


def test_files_are_added(place, docs, fake_models) -> None:
    (docs / "empty.txt").write_text("")
    (docs / "picture.png").write_bytes(b"x")
    with Index.open(place, "some/one") as index:
        report = index.add(docs, exclude=["rain/*"])
        assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 1}
        assert report.failed == [(str(docs / "empty.txt"), "is empty")]
        assert report.skipped == [str(docs / "picture.png")]
        (docs / "pets" / "text.txt").unlink()
        assert [Path(entry.id).parent.name for entry in index.documents(gone=True)] == ["pets"]
        report = index.add(docs, prune=True)
        assert report.removed == [str(docs / "pets" / "text.txt")]
        found = index.documents([f"{docs}/*/text.txt"], {"title": "text.*"})
        assert [Path(entry.id).parent.name for entry in found] == ["budget", "rain"]
        with pytest.raises(InputError, match="nowhere does not exist"):
            index.add(docs / "nowhere")


def test_nothing_to_index_makes_no_index(place, tmp_path, fake_models) -> None:
    (tmp_path / "empty").mkdir()
    index = Index.open(place, "some/one")
    with pytest.raises(ConfigError, match="no document to index"):
        index.add(tmp_path / "empty")
    assert not place.exists()


def test_a_dry_run_writes_nothing(place, docs, fake_models, monkeypatch) -> None:
    counting = "longembed_index.maintain.dry_run.coverage_of"
    monkeypatch.setattr(counting, lambda model, texts: [model._coverage(t) for t in texts])
    with Index.open(place, "some/one") as index:
        result = index.dry_run(docs, include=["pets/*", "rain/*"])
        assert (len(result.new), result.unchanged, result.tokens) == (2, 0, 28)
        assert not place.exists()
        index.add(docs)
        before = {file: file.stat().st_mtime_ns for file in place.glob("*.sqlite3")}
        (docs / "pets" / "text.txt").write_text("another text")
        result = index.dry_run(docs)
        assert (len(result.new), result.unchanged) == (1, 2)
        assert {file: file.stat().st_mtime_ns for file in place.glob("*.sqlite3")} == before


def test_a_second_writer_is_refused_or_waits(index, place) -> None:
    with writer_lock(place):
        with pytest.raises(StoreError, match="another process is writing"):
            index.add_documents([Document("new", "text")])
        assert ids(index.search("pets"))[0] == "pets"
        patient = Index.open(place, wait=600)
        writer = threading.Thread(target=patient.add_documents, args=([Document("new", "text")],))
        writer.start()
    writer.join()
    assert len(index) == 4


def test_settings_are_changed_by_reindexing(index, place, fake_models) -> None:
    result = index.reindex("some/two", max_seq_length=50, on_overflow="truncate")
    assert result.report.counts["added"] == 3
    assert index.info.provenance.fingerprint == "two auto 50"
    assert ids(index.search("pets"))[0] == "pets"
    index.add_documents([Document("new", "text by the new model")])
    assert index.verify() == 4
    assert index.drop_replaced() == [result.replaced]
    with pytest.raises(ConfigError, match="these settings already"):
        index.reindex(max_seq_length=50)
    index.reindex(units=False, max_seq_length=50, drop_old=True)
    assert not index.info.units
    assert ids(index.search("pets"))[0] == "pets"


def test_stats(index, place) -> None:
    stats = index.stats()
    assert (stats.documents, stats.words, stats.units) == (3, 3, True)
    assert stats.tokens == stats.tokens_read == sum(len(t.split()) for t in TEXTS.values())
    assert (stats.documents_read_in_part, stats.model) == (0, "some/one")
    assert stats.characters == sum(map(len, TEXTS.values()))
    assert (stats.path, stats.ranking) == (str(place), "hybrid, weight 0.2")
    assert stats.bytes >= sum(file.stat().st_size for file in place.glob("*.sqlite3")) > 0
    assert index.export(place.parent / "all.jsonl", {"words": 13}) == 2


# Metadata of files.


def names(index: Index, **where: object) -> set[str]:
    return {Path(entry.id).parent.name for entry in index.documents(where=where)}


def test_files_have_fields_to_filter_by(place, docs, fake_models) -> None:
    (docs / "rain" / "text.txt").rename(docs / "rain" / "text.md")
    (docs / "rain" / "text.md").write_text("---\ndepartment: legal\n---\nHeavy rain.")
    with Index.open(place, "some/one") as index:
        index.add(docs)
        assert names(index, type="md") == names(index, department="legal") == {"rain"}
        assert names(index, folder="*/pets") == {"pets"}
        assert ids(index.search("rain", where={"type": "txt", "folder": "*/pets"})) == [
            str(docs / "pets" / "text.txt")
        ]


def test_an_unknown_field_is_named_with_the_known_ones(place, docs, fake_models) -> None:
    with Index.open(place, "some/one") as index:
        index.add(docs, metadata={"department": "legal"})
        for ask in (
            lambda: index.search("rain", where={"departement": "legal"}),
            lambda: list(index.documents(where={"departement": "legal"})),
            lambda: index.export(place.with_name("out.jsonl"), {"departement": "legal"}),
        ):
            with pytest.raises(ConfigError, match=r"'departement'; there are .*department, folder"):
                ask()
        assert list(index.documents(where={"department": "sales"})) == []


def test_stored_files_get_the_metadata_of_a_later_run(place, docs, fake_models) -> None:
    with Index.open(place, "some/one") as index:
        index.add(docs)
        index.model.model.calls.clear()
        report = index.add(docs / "pets", metadata={"department": "legal"})
        assert (report.counts["replaced"], report.tokens) == (1, 0)
        assert names(index, department="legal") == {"pets"}
        report = index.add(docs / "pets", metadata={"department": "legal"})
        assert report.counts["unchanged"] == 1
        assert index.model.model.calls == []


def test_metadata_of_the_user_goes_with_a_moved_file_and_not_to_a_copy(
    place, docs, fake_models
) -> None:
    with Index.open(place, "some/one") as index:
        index.add(docs / "pets", metadata={"department": "legal"})
        shutil.copytree(docs / "pets", docs / "copy")
        index.add(docs / "copy")
        assert names(index, department="legal") == {"pets"}
        (docs / "pets").rename(docs / "moved")
        index.add(docs / "moved")
        assert names(index, department="legal") == {"moved"}


# Watching.


def watched(index, docs, *steps):
    """Yield the reports of what each step changes."""

    def changes():
        for step in steps:
            yield step()

    return index.watch(docs, prune=True, changes=changes())


def test_only_what_has_changed_is_looked_at(place, docs, fake_models) -> None:
    later, newer = docs / "pets" / "later.txt", docs / "newer"

    def add() -> set[Path]:
        later.write_text("ban cor dim fel")
        return {later}

    def remove() -> set[Path]:
        later.unlink()
        return {later}

    def rename() -> set[Path]:
        (docs / "pets").rename(newer)
        return {docs / "pets", newer}

    with Index.open(place, "some/one") as index:
        index.add(docs)
        first, second, third = watched(index, docs, add, remove, rename)
        counts = [(r.counts["added"], r.counts["unchanged"], r.in_store) for r in (first, second)]
        assert counts == [(1, 0, 4), (0, 0, 3)]
        assert second.removed == [str(later)]
        assert (third.moved, third.in_store) == ([str(newer / "text.txt")], 3)


@pytest.mark.parametrize("vanishes", ["emptied", "moved away"])
def test_a_watched_folder_that_vanishes_loses_nothing(place, docs, fake_models, vanishes) -> None:
    def vanish() -> set[Path]:
        if vanishes == "emptied":
            shutil.rmtree(docs)
            docs.mkdir()
        else:
            docs.rename(docs.with_name("elsewhere"))
        return {docs}

    with Index.open(place, "some/one") as index:
        index.add(docs)
        (report,) = watched(index, docs, vanish)
        assert (len(report.gone), report.removed, report.in_store) == (3, [], 3)
        assert f"no file under {docs} now" in report.kept_because
        report = next(index.watch(docs, prune=True, prune_empty_root=True, changes=[{docs}]))
        assert (len(report.removed), len(index)) == (3, 0)


def test_another_writer_is_waited_for_while_watching(place, docs, fake_models) -> None:
    with Index.open(place, "some/one") as index:
        index.add(docs)
        (docs / "new.txt").write_text("a new text")
        reports = []
        with writer_lock(place):
            watcher = threading.Thread(
                target=lambda: reports.extend(index.watch(docs, changes=[{docs}]))
            )
            watcher.start()
        watcher.join()
        assert reports[0].counts["added"] == 1


def test_the_public_names() -> None:
    import longembed_index
    import longembed_st as le

    assert le.open_index == Index.open
    assert set(longembed_index.__all__) <= set(dir(longembed_index)) | {"Index"}
    with pytest.raises(AttributeError, match="Finder"):
        _ = longembed_index.Finder  # type: ignore[attr-defined]
    assert Index.reindex is not reindex
