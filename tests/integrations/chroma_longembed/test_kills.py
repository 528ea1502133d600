"""Writers that are killed, many of them while the mirror is written: the next run mends it."""

from __future__ import annotations

import chromadb
import pytest
from killed_writers import kill_writers

from chroma_longembed.mirror import flat_metadata
from longembed_index.store.conformance import INFO
from longembed_index.store.kinds import open_store


@pytest.mark.parametrize(("kills", "seed"), [(2, 1), pytest.param(60, 2, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:Could not reconstruct embedding function")
def test_after_a_kill_the_next_run_brings_the_mirror_up_to_date(tmp_path, kills, seed) -> None:
    place = tmp_path / "store"
    kill_writers(place, "chroma", kills, seed)
    store = open_store(place, kind="chroma", create=INFO, write=True)
    entries = {entry.id: flat_metadata(entry) for entry in store.entries()}
    vectors = dict(zip(*store.vectors(), strict=True))
    store.close()
    with chromadb.PersistentClient(str(place)) as client:
        collection = client.get_collection("documents", embedding_function=None)
        columns = collection.get(include=["metadatas", "embeddings"])
        assert dict(zip(columns["ids"], columns["metadatas"], strict=True)) == entries
        for key, vector in zip(columns["ids"], columns["embeddings"], strict=True):
            assert vector @ vectors[key] == pytest.approx(1, abs=1e-2)
        assert len(collection.query([vectors[key]], n_results=100)["ids"][0]) == len(entries)
