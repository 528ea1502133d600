from __future__ import annotations

import chromadb
import numpy as np
import pytest
from compare import cosine

from chroma_longembed import LongEmbedEmbeddingFunction, open_collection, reindex
from chroma_longembed.collection import FINGERPRINT, stored_provenance
from longembed_st.errors import ConfigError

DOCUMENTS = {
    "pets": "cats and dogs are kept as pets",
    "money": "the central bank raised interest rates again and again " * 60,
    "rain": "heavy rain is forecast for the weekend",
    "music": "a string quartet by Beethoven",
}


@pytest.fixture
def client(tmp_path):
    with chromadb.PersistentClient(str(tmp_path / "own")) as client:
        yield client


@pytest.fixture(scope="module")
def unextended(minilm_folder) -> LongEmbedEmbeddingFunction:
    return LongEmbedEmbeddingFunction(str(minilm_folder), "none", on_overflow="truncate")


@pytest.fixture
def papers(client, minilm):
    return write_papers(client, minilm)


def write_papers(client, function):
    collection = open_collection(client, "papers", function)
    collection.add(
        ids=list(DOCUMENTS),
        documents=list(DOCUMENTS.values()),
        metadatas=[{"shelf": name[0]} for name in DOCUMENTS],
    )
    return collection


def vectors(collection) -> dict[str, np.ndarray]:
    found = collection.get(include=["embeddings"])
    return dict(zip(found["ids"], np.asarray(found["embeddings"]), strict=True))


def test_a_collection_is_reindexed_and_the_old_one_kept(any_client, minilm, unextended) -> None:
    client, papers = any_client, write_papers(any_client, minilm)
    before = vectors(papers)
    done = reindex(client, "papers", unextended)
    assert done.report.counts == {"added": 4, "replaced": 0, "unchanged": 0, "failed": 0}
    assert done.replaced == "papers.old"
    collection = open_collection(client, "papers", unextended)
    assert collection.metadata[FINGERPRINT] == unextended.fingerprint
    new = vectors(collection)
    assert new.keys() == DOCUMENTS.keys()
    for name, text in DOCUMENTS.items():
        assert cosine(new[name], unextended.model.encode_document(text)) > 0.999999
    found = collection.get(include=["documents", "metadatas"])
    assert dict(zip(found["ids"], found["documents"], strict=True)) == DOCUMENTS
    assert [data["shelf"] for data in found["metadatas"]] == [name[0] for name in found["ids"]]
    kept = vectors(client.get_collection("papers.old", embedding_function=minilm))
    assert {name: v.tolist() for name, v in kept.items()} == {
        name: v.tolist() for name, v in before.items()
    }
    # A handle from before the switch goes on answering.
    assert papers.query(query_texts=["pets"], n_results=1)["ids"] == [["pets"]]
    done = reindex(client, "papers", minilm, drop_old=True)
    assert sorted(done.dropped) == ["papers.old", "papers.old2"]
    assert [c.name for c in client.list_collections()] == ["papers"]
    assert vectors(open_collection(client, "papers", minilm)).keys() == DOCUMENTS.keys()


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


def test_the_new_collection_can_be_opened_by_chroma_alone(client, papers, unextended) -> None:
    reindex(client, "papers", unextended)
    collection = client.get_collection("papers")
    assert collection.query(query_texts=["pets"], n_results=1)["ids"] == [["pets"]]
    kept = collection.configuration_json["embedding_function"]
    assert (kept["type"], kept["name"]) == ("known", "longembed")
    assert kept["config"] == unextended.get_config()


class CutError(Exception):
    """Stands for a kill."""


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


def test_missing_and_foreign_collections_are_refused(client, minilm) -> None:
    open_collection(client, "papers", minilm)
    with pytest.raises(ConfigError, match="no collection 'paper'"):
        reindex(client, "paper", minilm)
    client.create_collection("theirs", embedding_function=None)
    with pytest.raises(ConfigError, match="'theirs' was not made by longembed"):
        reindex(client, "theirs", minilm)
    assert stored_provenance(client, "papers").fingerprint == minilm.fingerprint
    assert sorted(c.name for c in client.list_collections()) == ["papers", "theirs"]


def test_a_record_without_text_prevents_the_switch(client, papers, unextended) -> None:
    papers.add(ids=["bare"], embeddings=[[0.1] * 384])
    refused = reindex(client, "papers", unextended)
    assert refused.replaced is None
    assert refused.report.failed == [("bare", "has a vector and no text")]
    done = reindex(client, "papers", unextended, allow_missing=True)
    assert done.report.counts == {"added": 0, "replaced": 0, "unchanged": 4, "failed": 1}
    assert vectors(open_collection(client, "papers", unextended)).keys() == DOCUMENTS.keys()
