from __future__ import annotations

import numpy as np
import pytest
from chroma_longembed.copies import VectorCopies
from chroma_longembed.health import Damage, Health, examine
from chromadb.errors import InternalError
from longembed_index.opening import open_store
from store_steps import step

COUNT = 700


class Fragments:
    """A collection whose graph leads to few of its vectors, and which has lost some of them.

    Args:
        reached: Records that a query finds.
        lost: Records whose vectors cannot be read.
        missed: The share of vectors that a search by themselves does not find.
    """

    id = "a collection"
    configuration_json = {"hnsw": {"space": "cosine"}}  # noqa: RUF012

    def __init__(self, reached: int, lost: int = 0, missed: float = 0.0) -> None:
        self._missed = missed
        self.ids = [f"id{number:03}" for number in range(COUNT)]
        self._vectors = dict(
            zip(self.ids, np.random.default_rng(0).normal(size=(COUNT, 8)), strict=True)
        )
        self._reached, self._lost = reached, set(self.ids[COUNT - lost :])
        self.calls = 0

    def get(self, ids=None, include=()):
        self.calls += 1
        ids = self.ids if ids is None else ids
        if "embeddings" in include and self._lost & set(ids):
            raise InternalError("Error finding id")
        vectors = np.array([self._vectors[key] for key in ids])
        return {"ids": ids, "documents": ["text"] * len(ids), "embeddings": vectors}

    def query(self, query_embeddings, n_results, include):
        near = [[np.asarray(one)] for one in query_embeddings]
        for place in range(round(self._missed * len(near))):
            near[place] = [-near[place][0]]
        return {"ids": [self.ids[: self._reached]] * len(near), "embeddings": near}


@pytest.mark.parametrize("reached", [1, 106, 599, COUNT])
def test_what_can_be_read_is_not_lost_though_the_graph_does_not_lead_there(
    reached, tmp_path
) -> None:
    """As with many vectors that are alike; a search makes up for it."""
    assert examine(Fragments(reached), VectorCopies(tmp_path)) == Damage()


@pytest.mark.parametrize(("reached", "lost"), [(COUNT - 5, 5), (100, 5), (100, 600), (100, 400)])
def test_exactly_what_cannot_be_read_is_lost(reached, lost, tmp_path) -> None:
    collection = Fragments(reached, lost)
    found = examine(collection, VectorCopies(tmp_path))
    assert found == Damage(frozenset(collection.ids[COUNT - lost :]))


@pytest.mark.parametrize(("missed", "broken"), [(0.15, False), (0.4, False), (0.6, True)])
def test_a_graph_that_misses_some_of_many_alike_is_whole(missed, broken, tmp_path) -> None:
    """Chroma's graph over hundreds of almost equal vectors misses up to one in seven."""
    found = examine(Fragments(COUNT, missed=missed), VectorCopies(tmp_path))
    assert found == Damage(broken=broken)


def test_of_very_many_that_are_lost_few_are_asked_for(tmp_path) -> None:
    collection = Fragments(100, 600)
    examine(collection, VectorCopies(tmp_path))
    assert collection.calls < 600


def test_a_store_that_was_only_read_is_not_examined_again(tmp_path, monkeypatch) -> None:
    """Chroma, when it reads a store of few vectors, fills files with whatever is in memory."""
    place = tmp_path / "store"
    step(place, 20, "index", 0, 1)
    for name in ("data_level0.bin", "length.bin"):
        (file,) = place.rglob(name)
        file.write_bytes(np.random.default_rng(0).bytes(file.stat().st_size))
    examined = []
    monkeypatch.setattr(Health, "_examine_apart", lambda *_: examined.append(1) or Damage())
    with open_store(place) as store:
        assert (len(store), examined) == (20, [])
    file.write_bytes(file.read_bytes() + b"\0")
    with open_store(place):
        assert examined
