from __future__ import annotations

import numpy as np
import pytest
from compare import cosine

from chroma_longembed import LongEmbedEmbeddingFunction, StoreError, open_collection, reindex
from chroma_longembed.collection import FINGERPRINT, stored_settings
from chroma_longembed.reindexing import drop_kept
from chroma_longembed.switching import staging_name
from longembed_st.errors import ConfigError

LONG = "the central bank raised interest rates again and again " * 60
DOCUMENTS = {
    "pets": "cats and dogs are kept as pets",
    "money": LONG,
    "rain": "heavy rain is forecast for the weekend",
    "music": "a string quartet by Beethoven",
}


@pytest.fixture
def client(any_client):
    return any_client


@pytest.fixture(scope="module")
def unextended(minilm_folder) -> LongEmbedEmbeddingFunction:
    return LongEmbedEmbeddingFunction(str(minilm_folder), "none", on_overflow="truncate")


@pytest.fixture
def papers(client, minilm):
    collection = open_collection(client, "papers", minilm)
    collection.add(
        ids=list(DOCUMENTS),
        documents=list(DOCUMENTS.values()),
        metadatas=[{"shelf": name[0]} for name in DOCUMENTS],
    )
    return collection


def vectors(collection) -> dict[str, np.ndarray]:
    found = collection.get(include=["embeddings"])
    return dict(zip(found["ids"], np.asarray(found["embeddings"]), strict=True))


def test_every_document_gets_the_vector_of_the_new_settings(client, papers, unextended) -> None:
    done = reindex(client, "papers", unextended)
    collection = open_collection(client, "papers", unextended)
    assert collection.metadata[FINGERPRINT] == unextended.fingerprint
    new = vectors(collection)
    assert new.keys() == DOCUMENTS.keys()
    for name, text in DOCUMENTS.items():
        assert cosine(new[name], unextended.model.encode_document(text)) > 0.999999
    found = collection.get(include=["documents", "metadatas"])
    assert dict(zip(found["ids"], found["documents"], strict=True)) == DOCUMENTS
    assert [data["shelf"] for data in found["metadatas"]] == [name[0] for name in found["ids"]]
    assert done.report.counts == {"added": 4, "replaced": 0, "unchanged": 0, "failed": 0}
    assert [outcome.name for outcome in done.report.partly_read] == ["money"]


def test_the_old_collection_stays_until_told_otherwise(client, papers, minilm, unextended) -> None:
    before = vectors(papers)
    done = reindex(client, "papers", unextended)
    assert done.kept_as == "papers.old"
    kept = vectors(client.get_collection("papers.old", embedding_function=minilm))
    assert {name: v.tolist() for name, v in kept.items()} == {
        name: v.tolist() for name, v in before.items()
    }
    # A handle from before the switch goes on answering.
    assert papers.query(query_texts=["pets"], n_results=1)["ids"] == [["pets"]]
    reindex(client, "papers", minilm)
    assert sorted(c.name for c in client.list_collections()) == [
        "papers",
        "papers.old",
        "papers.old2",
    ]
    assert sorted(drop_kept(client, "papers")) == ["papers.old", "papers.old2"]
    assert [c.name for c in client.list_collections()] == ["papers"]
    assert vectors(open_collection(client, "papers", minilm)).keys() == DOCUMENTS.keys()


def test_the_old_collection_is_dropped_when_told(client, papers, unextended) -> None:
    done = reindex(client, "papers", unextended, drop_old=True)
    assert done.dropped == ["papers.old"]
    assert [c.name for c in client.list_collections()] == ["papers"]


def test_distance_and_own_metadata_of_a_collection_stay(client, minilm, unextended) -> None:
    client.create_collection(
        "papers",
        embedding_function=minilm,
        configuration={"hnsw": {"space": "ip", "ef_search": 50}},
        metadata={"owner": "legal"},
    ).add(ids=["a"], documents=["a contract"])
    reindex(client, "papers", unextended)
    collection = open_collection(client, "papers", unextended)
    hnsw = collection.configuration_json["hnsw"]
    assert (hnsw["space"], hnsw["ef_search"]) == ("ip", 50)
    assert collection.metadata["owner"] == "legal"
    assert not [key for key in collection.metadata if "waits_for" in key or "complete" in key]


class CutError(Exception):
    """Stands for a kill."""


def test_an_interrupted_run_embeds_nothing_twice(client, papers, unextended, monkeypatch) -> None:
    monkeypatch.setattr("chroma_longembed.reindexing._ROWS", 1)
    monkeypatch.setattr("chroma_longembed.reindexing.BATCH_CHARACTERS", 1)

    def cut_after_two(outcome, seen=[]):  # noqa: B006 - counts the calls
        seen.append(outcome)
        if len(seen) == 2:
            raise CutError

    with pytest.raises(CutError):
        reindex(client, "papers", unextended, on_outcome=cut_after_two)
    assert stored_settings(client, "papers")["method"] == "pcw"
    assert papers.query(query_texts=["pets"], n_results=1)["ids"] == [["pets"]]
    done = reindex(client, "papers", unextended)
    assert done.report.counts["unchanged"] == 2
    assert done.report.counts["added"] == 2
    assert vectors(open_collection(client, "papers", unextended)).keys() == DOCUMENTS.keys()


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_switch_that_was_cut_off_is_finished_by_whoever_opens_the_name(
    client, papers, minilm, unextended, monkeypatch, renames
) -> None:
    from chromadb import Collection

    modify, done = Collection.modify, []

    def modify_until_cut(self, **changes):
        if len(done) > renames:
            raise CutError
        done.append(changes)
        modify(self, **changes)

    monkeypatch.setattr(Collection, "modify", modify_until_cut)
    if renames < 2:
        with pytest.raises(CutError):
            reindex(client, "papers", unextended)
    else:
        reindex(client, "papers", unextended)
    monkeypatch.undo()
    # Before the old collection gives up the name it is the one that is found, afterwards the new.
    expected = minilm if renames == 0 else unextended
    collection = open_collection(client, "papers")
    assert collection.metadata[FINGERPRINT] == expected.fingerprint
    assert vectors(collection).keys() == DOCUMENTS.keys()
    if renames == 0:
        reindex(client, "papers", unextended)
    assert sorted(c.name for c in client.list_collections()) == ["papers", "papers.old"]


def test_what_others_write_meanwhile_is_taken_over(client, papers, unextended) -> None:
    def write(outcome, written=[]):  # noqa: B006 - once
        if not written:
            written.append(True)
            papers.add(ids=["late"], documents=["a late paper"], metadatas=[{"shelf": "l"}])
            papers.update(ids=["pets"], documents=["hamsters are pets, too"])
            papers.delete(ids=["rain"])

    reindex(client, "papers", unextended, on_outcome=write)
    found = open_collection(client, "papers", unextended).get()
    texts = dict(zip(found["ids"], found["documents"], strict=True))
    assert texts.keys() == {"pets", "money", "music", "late"}
    assert texts["pets"] == "hamsters are pets, too"


def test_a_document_that_cannot_be_embedded_prevents_the_switch(
    client, papers, minilm, minilm_folder
) -> None:
    strict = LongEmbedEmbeddingFunction(str(minilm_folder), "none", on_overflow="error")
    done = reindex(client, "papers", strict)
    assert done.kept_as is None
    ((name, reason),) = done.report.failed
    assert name == "money"
    assert "longer than the window" in reason
    assert stored_settings(client, "papers")["fingerprint"] == minilm.fingerprint
    done = reindex(client, "papers", strict, allow_missing=True)
    assert done.kept_as == "papers.old"
    assert vectors(open_collection(client, "papers", strict)).keys() == DOCUMENTS.keys() - {"money"}
    assert client.get_collection("papers.old", embedding_function=None).count() == 4


def test_a_record_without_text_is_named(client, papers, unextended) -> None:
    papers.add(ids=["bare"], embeddings=[[0.1] * 384])
    done = reindex(client, "papers", unextended)
    assert done.report.failed == [("bare", "has a vector and no text")]
    assert done.kept_as is None


def test_equal_settings_and_missing_collections_are_refused(client, papers, minilm) -> None:
    with pytest.raises(ConfigError, match="have these settings already"):
        reindex(client, "papers", minilm)
    with pytest.raises(ConfigError, match="no collection 'paper'"):
        reindex(client, "paper", minilm)
    assert [c.name for c in client.list_collections()] == ["papers"]


def test_an_unfinished_run_of_other_settings_is_not_mixed_with(
    client, papers, minilm_folder, unextended
) -> None:
    open_collection(client, staging_name("papers"), unextended)
    other = LongEmbedEmbeddingFunction(str(minilm_folder), "pi", max_seq_length=1024)
    with pytest.raises(ConfigError, match=r"'none' in the store, 'pi' now.*--restart"):
        reindex(client, "papers", other)
    reindex(client, "papers", other, restart=True)
    assert stored_settings(client, "papers")["method"] == "pi"


def test_a_vector_that_is_not_finite_is_not_written(client, papers, unextended, monkeypatch):
    encode = unextended.model.encode_document

    def broken(texts, **keywords):
        vectors = encode(texts, **keywords)
        vectors[[text == DOCUMENTS["rain"] for text in texts]] = np.nan
        return vectors

    monkeypatch.setattr(unextended.model, "encode_document", broken, raising=False)
    done = reindex(client, "papers", unextended)
    ((name, reason),) = done.report.failed
    assert name == "rain"
    assert "not finite" in reason
    assert stored_settings(client, "papers")["method"] == "pcw"


def test_a_store_that_loses_what_is_written_is_noticed(
    client, papers, unextended, monkeypatch
) -> None:
    from chromadb import Collection

    monkeypatch.setattr(Collection, "upsert", lambda self, **columns: None)
    with pytest.raises(StoreError, match=r"still differs .* Run again; nothing is lost"):
        reindex(client, "papers", unextended)
    assert stored_settings(client, "papers")["method"] == "pcw"
