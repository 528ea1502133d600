"""Stores that version 0.1 wrote are opened, searched, indexed on, and their reindexing finished."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import chromadb
import pytest

from longembed_index.embedding import document_embedder, storable_model
from longembed_index.ingestion import ingest
from longembed_index.opening import open_store, read_provenance
from longembed_index.sources import TextSource
from longembed_index.verify import verify
from longembed_st.base.settings import ModelSettings

OLD = Path(__file__).parents[1] / "fixtures" / "v0_1"
STORES = json.loads((OLD / "stores.json").read_text())

# Chroma looks for the model where it was.
pytestmark = pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function")


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """The model that all stores were made with."""
    folder = tmp_path_factory.mktemp("old")
    zipfile.ZipFile(OLD / "models.zip").extractall(folder)
    return folder / "plain"


@pytest.fixture
def unpacked(tmp_path, request) -> Path:
    zipfile.ZipFile(OLD / f"{request.param}.zip").extractall(tmp_path)
    return tmp_path / request.param


def load(plain: Path, **settings):
    return storable_model(ModelSettings(model_name=str(plain), **settings))


every_store = pytest.mark.parametrize(
    "unpacked",
    ["store", "store_options", "store_reindexed", "store_unfinished"],
    indirect=True,
)


@every_store
def test_settings_are_read(unpacked) -> None:
    found = read_provenance(unpacked)
    expected = STORES[unpacked.name]
    assert found.fingerprint == expected["fingerprint"]
    # What later versions add to the settings has its default.
    assert expected["settings"].items() <= found.to_dict().items()


@every_store
def test_hits_are_those_of_then(run, unpacked, plain) -> None:
    expected = STORES[unpacked.name]
    command = ("search", expected["query"], "--store", unpacked, "--json", "--mode", "dense")
    result = run(*command, "--model", plain)
    assert result.exit_code == 0, result.stderr
    hits = json.loads(result.stdout)
    for hit, old in zip(hits, expected["hits"], strict=True):
        assert hit == {**old, "score": pytest.approx(old["score"], abs=1e-5)}
    # The new place of the model is remembered.
    assert json.loads(run(*command).stdout) == hits


@every_store
def test_unchanged_documents_stay_and_new_ones_are_added(unpacked, plain) -> None:
    stored = read_provenance(unpacked).settings
    model = load(plain, **{k: v for k, v in stored.explicit.items() if k != "model_name"})
    embed = document_embedder(model)
    with open_store(unpacked, model, write=True) as store:
        before = store.get([key for key, _ in store.names()])
        # The bytes of text files are known from what was stored of them.
        old = [TextSource(r.name, r.text) for r in before if not r.name.endswith(".html")]
        report = ingest([*old, TextSource("new", "past biost ran")], store, embed)
        assert report.counts == {"added": 1, "replaced": 0, "unchanged": 4, "failed": 0}
        assert len(store) == 6
        assert verify(store, embed, size=6) == 6


@pytest.mark.parametrize("unpacked", ["store", "store_options"], indirect=True)
@pytest.mark.parametrize("options", [(), ("--window-size", "64", "-o", "overlap=0")])
def test_spelling_out_a_default_makes_no_difference(run, unpacked, plain, options) -> None:
    (unpacked.parent / "a.txt").write_text("past biost ran")
    result = run("index", "a.txt", "--store", unpacked, "--model", plain, *options, "--verify")
    assert result.exit_code == 0, result.stderr
    assert "Verified: 5" in result.stdout


@pytest.mark.parametrize("unpacked", ["store_unfinished"], indirect=True)
def test_an_unfinished_reindexing_is_finished(run, unpacked, plain) -> None:
    changed = ("--model", plain, "--method", "pi", "--max-seq-length")
    refused = run("reindex", "--store", unpacked, *changed, "128")
    assert refused.exit_code == 1
    assert "max_seq_length is 256 in the store, 128 now" in refused.stderr
    result = run("reindex", "--store", unpacked, *changed, "256")
    assert result.exit_code == 0, result.stderr
    rows = [line.split("│")[1:3] for line in result.stdout.splitlines() if line.count("│") == 3]
    counts = {label.strip(): value.strip() for label, value in rows}
    assert counts["documents embedded"] == "3"
    assert counts["documents of an earlier run"] == "2"
    then = STORES["store_reindexed"]
    hits = json.loads(run("search", then["query"], "--store", unpacked, "--json").stdout)
    assert [hit["source"] for hit in hits] == [hit["source"] for hit in then["hits"]]
    with open_store(unpacked, load(plain, method="pi", max_seq_length=256)) as store:
        assert verify(store, document_embedder(load(plain, method="pi", max_seq_length=256))) == 5


@pytest.mark.parametrize("unpacked", ["store_reindexed"], indirect=True)
def test_what_an_old_reindexing_has_kept_is_dropped(run, unpacked) -> None:
    result = run("reindex", "--store", unpacked, "--drop-old")
    assert result.stdout == "Deleted: documents.old\n"


@pytest.mark.parametrize("unpacked", ["collection"], indirect=True)
def test_a_collection_without_the_guard_is_opened(unpacked, plain) -> None:
    from chroma_longembed import LongEmbedEmbeddingFunction, open_collection

    then = STORES["collection"]
    function = LongEmbedEmbeddingFunction(str(plain), "pcw", window_size=32)
    with chromadb.PersistentClient(str(unpacked)) as client:
        collection = open_collection(client, "plain", function)
        found = collection.query(query_texts=[then["query"]], n_results=2)
    assert found["ids"][0] == then["ids"]
    assert found["distances"][0] == pytest.approx(then["distances"], abs=1e-5)
