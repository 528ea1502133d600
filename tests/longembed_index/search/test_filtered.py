"""Fields that are kept in memory give the documents that the filter gives one by one."""

from __future__ import annotations

import random

import pytest
from index_fakes import record

from longembed_index.search import filtered
from longembed_index.search.filtered import Fields, FilteredDocuments
from longembed_index.store.filters import matches
from longembed_index.store.memory import MemoryStore
from longembed_index.store.protocol import StoreInfo
from longembed_st.base.provenance import Provenance
from longembed_st.base.settings import ModelSettings
from longembed_st.errors import ConfigError

VALUES = [
    *(1, 1.0, True, "1", "true", None, 2019, 2020.5, "2020", "é", "e\u0301"),
    *([1, "b"], ["b"], []),
]
WHERE = [
    {"a": 1},
    {"a": True},
    {"a": "true"},
    {"a": "1"},
    {"a": "\u00e9"},
    {"a": "*"},
    {"a": None},
    {"a": ["b", 2019]},
    {"a": {"gt": 1, "lte": 2020}},
    {"a": {"gte": "2"}},
    {"a": {"ne": "b"}},
    {"a": 1, "b": {"ne": 1}},
    {"tokens": {"gt": 1}, "b": "*"},
    {"nobody": 1},
]


class CountingStore(MemoryStore):
    """Counts how often its documents are listed."""

    lists = 0

    def entries(self, where=None):
        self.lists += 1
        return super().entries(where)


@pytest.fixture
def store() -> CountingStore:
    store = CountingStore(StoreInfo(Provenance(ModelSettings(model_name="some/model"), "one")))
    draw = random.Random(0)
    for number in range(60):
        keys = draw.sample(["a", "b"], draw.randrange(3))
        text = " ".join(["x"] * (1 + number % 3))
        metadata = {key: draw.choice(VALUES) for key in keys}
        store.write([record(f"{number:02}", text, [1.0], **metadata)])
    return store


def test_fields_give_the_documents_that_match(store) -> None:
    for where in WHERE:
        expected = [entry.id for entry in store.entries() if matches(entry.fields, where)]
        assert Fields(store.entries()).select(where) == expected
        assert len(expected) < 60


def test_fields_are_read_once_after_some_filters_and_again_of_another_generation(store) -> None:
    documents = FilteredDocuments(store)
    wheres = [{"a": number} for number in range(10)]
    expected = [[e.id for e in store.entries() if matches(e.fields, w)] for w in wheres]
    for _ in range(2):
        store.lists = 0
        assert [list(documents.select(where)) for where in wheres] == expected
        assert store.lists == filtered._SCANS + 1
        store.lists = 0
        assert [list(documents.select(where)) for where in wheres] == expected
        assert store.lists == 0
        store.write([record("99", "x", [1.0], a=5)])
        expected[5].append("99")
        expected[5].sort()


def test_fields_of_too_many_documents_are_not_kept(store, monkeypatch) -> None:
    monkeypatch.setattr(filtered, "MOST_DOCUMENTS", 59)
    documents = FilteredDocuments(store)
    for number in range(9):
        documents.select({"a": number})
    assert store.lists == 9


def test_ids_are_asked_of_the_store(store) -> None:
    documents = FilteredDocuments(store)
    assert list(documents.select({"id": "0*"})) == [f"0{number}" for number in range(10)]
    for number in range(10):
        assert list(documents.select({"source": f"{number:02}"})) == [f"{number:02}"]
    assert documents._fields is None


def test_a_condition_that_cannot_be_understood_is_an_error(store) -> None:
    documents = FilteredDocuments(store)
    for number in range(5):
        documents.select({"a": number})
    with pytest.raises(ConfigError, match="'a'"):
        documents.select({"a": {"above": 1}})
