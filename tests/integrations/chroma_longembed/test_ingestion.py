from __future__ import annotations

import re

import numpy as np
import pytest

from chroma_longembed.errors import StoreError
from chroma_longembed.ingestion import ingest
from chroma_longembed.sources import TextSource
from chroma_longembed.verify import verify
from longembed_st.errors import InputError, ModelError, TextNotReadWarning


def sources(**texts: str) -> list[TextSource]:
    return [TextSource(name, text, f"{name}.txt") for name, text in texts.items()]


LONG = "The committee met on Tuesday to discuss the budget. " * 60


def test_a_record_says_where_it_is_from_and_how_much_was_read(memory_store, minilm) -> None:
    store = memory_store()
    report = ingest(sources(long=LONG, short="a note"), store, minilm)
    long, short = sorted(store.records.values(), key=lambda r: -len(r.text))
    tokens = len(minilm.model.tokenizer(LONG, verbose=False)["input_ids"])
    assert long.text == LONG
    assert long.metadata["source"] == "long"
    assert long.metadata["title"] == "long.txt"
    assert long.metadata["windows"] > 1
    assert long.metadata["read"] == long.metadata["tokens"] >= tokens
    assert short.metadata["windows"] == 1
    np.testing.assert_allclose(long.vector, minilm([LONG])[0], atol=1e-6)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 0}
    assert report.tokens == report.read == long.metadata["tokens"] + short.metadata["tokens"]
    assert report.share_read == 1


def test_a_second_run_embeds_and_writes_nothing(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one", b="two"), store, minilm)
    before = dict(store.records)

    def fail(texts):
        raise AssertionError("embedded again")

    report = ingest(sources(a="one", b="two"), store, fail)
    assert report.counts["unchanged"] == 2
    assert store.records == before
    assert store.writes == [2]


def test_a_changed_document_replaces_its_record(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one", b="two"), store, minilm)
    report = ingest(sources(a="one, revised", b="two"), store, minilm)
    assert report.counts == {"added": 0, "replaced": 1, "unchanged": 1, "failed": 0}
    assert store.texts() == {"a": "one, revised", "b": "two"}
    assert len(store.records) == 2


def test_equal_texts_under_two_names_are_two_documents(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="same", b="same"), store, minilm)
    assert store.texts() == {"a": "same", "b": "same"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("\u200b\ufeff \0", "has no text"),
        ("bad \ud800 text", r"lone surrogate '\\ud800' at 4"),
    ],
)
def test_a_document_without_valid_text_is_named_and_not_stored(
    memory_store, minilm, text, reason
) -> None:
    store = memory_store()
    report = ingest(sources(good="fine", bad=text), store, minilm)
    assert store.texts() == {"good": "fine"}
    ((name, why),) = report.failed
    assert name == "bad"
    assert re.search(reason, why)


def test_a_name_that_is_not_unicode_is_refused(memory_store, minilm) -> None:
    store = memory_store()
    report = ingest([TextSource("caf\udce9", "text")], store, minilm)
    assert "name has the lone surrogate" in report.failed[0][1]
    assert not store.records


def test_a_name_that_comes_twice_is_refused(memory_store, minilm) -> None:
    store = memory_store()
    report = ingest([TextSource("a", "one"), TextSource("a", "two")], store, minilm)
    assert store.texts() == {"a": "one"}
    assert report.failed == [("a", "has the name of an earlier document of this run")]


@pytest.mark.parametrize("error", [InputError, ModelError])
def test_one_bad_document_does_not_take_its_batch_with_it(memory_store, minilm, error) -> None:
    def embed(texts):
        if any("bad" in text for text in texts):
            raise error("no vector for this one")
        return minilm(texts)

    store = memory_store()
    report = ingest(sources(a="one", x="bad", c="three"), store, embed)
    assert store.texts() == {"a": "one", "c": "three"}
    assert report.failed == [("x", "no vector for this one")]
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 1}


def test_a_failed_new_version_leaves_the_old_one_and_says_so(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one"), store, minilm)
    report = ingest(sources(a="  "), store, minilm)
    assert store.texts() == {"a": "one"}
    assert report.failed == [("a", "is empty; the store keeps its earlier version")]


def test_batches_keep_to_characters_and_to_the_stores_limit(memory_store, minilm) -> None:
    store = memory_store(max_batch=3)
    documents = sources(**{f"d{i}": "word " * (100 if i == 0 else 1) for i in range(8)})
    ingest(documents, store, minilm, batch_characters=400)
    assert store.writes == [1, 3, 3, 1]


def test_every_document_is_reported_as_soon_as_it_is_settled(memory_store, minilm) -> None:
    store = memory_store()
    seen = []
    ingest(
        sources(a="one", b="", c="three"),
        store,
        minilm,
        on_outcome=lambda outcome: seen.append((outcome.name, outcome.status, len(store.records))),
        batch_characters=1,
    )
    assert seen == [("a", "added", 1), ("b", "failed", 1), ("c", "added", 2)]


def test_a_run_that_was_cut_off_ends_as_an_uninterrupted_one(memory_store, minilm) -> None:
    documents = sources(**{f"d{i}": f"document number {i}" for i in range(6)})
    clean = memory_store()
    ingest(documents, clean, minilm, batch_characters=1)
    store = memory_store()
    store.fail_after = 4
    with pytest.raises(KeyboardInterrupt):
        ingest(documents, store, minilm, batch_characters=1)
    assert len(store.records) == 4
    store.fail_after = float("inf")
    report = ingest(documents, store, minilm, batch_characters=1)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 4, "failed": 0}
    assert store.texts() == clean.texts()
    assert store.records.keys() == clean.records.keys()


def test_a_run_killed_between_new_and_old_version_is_tidied_up(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one"), store, minilm)
    old = dict(store.records)
    ingest(sources(a="two"), store, minilm)
    store.records.update(old)
    report = ingest(sources(a="two"), store, minilm)
    assert report.counts["unchanged"] == 1
    assert store.texts() == {"a": "two"}
    assert len(store.records) == 1


def test_documents_that_are_gone_are_listed_and_pruned_on_demand(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one", b="two", elsewhere="three"), store, minilm)

    def is_gone(name: str) -> bool:
        return name != "elsewhere"

    report = ingest(sources(a="one"), store, minilm, is_gone=is_gone)
    assert (report.gone, report.pruned) == (["b"], False)
    assert len(store.records) == 3
    report = ingest(sources(a="one"), store, minilm, is_gone=is_gone, prune=True)
    assert (report.gone, report.pruned) == (["b"], True)
    assert store.texts() == {"a": "one", "elsewhere": "three"}


def test_a_document_read_in_part_is_named(memory_store, minilm_folder, recwarn) -> None:
    from chroma_longembed import LongEmbedEmbeddingFunction

    stock = LongEmbedEmbeddingFunction(str(minilm_folder), "none")
    report = ingest(sources(long=LONG, short="a note"), memory_store(), stock)
    (partly,) = report.partly_read
    assert partly.name == "long"
    assert partly.read == 256 < partly.tokens
    assert 0 < report.share_read < 1
    assert not [warning for warning in recwarn if warning.category is TextNotReadWarning]


def test_a_document_that_is_too_long_can_be_refused(memory_store, minilm_folder) -> None:
    from chroma_longembed import LongEmbedEmbeddingFunction

    strict = LongEmbedEmbeddingFunction(str(minilm_folder), "none", on_overflow="error")
    store = memory_store()
    report = ingest(sources(long=LONG, short="a note"), store, strict)
    assert store.texts() == {"short": "a note"}
    assert "longer than the window of 256 tokens" in report.failed[0][1]


def test_a_store_that_loses_records_is_not_believed(memory_store, minilm) -> None:
    store = memory_store()
    store.write = lambda records: None
    with pytest.raises(StoreError, match="not in the store as they were written"):
        ingest(sources(a="one"), store, minilm)


class Sampled:
    def __init__(self, records) -> None:
        self.records = list(records)

    def sample(self, size):
        return self.records[:size]


def test_verify_finds_a_vector_that_the_model_did_not_make(memory_store, minilm) -> None:
    store = memory_store()
    ingest(sources(a="one", b="two"), store, minilm)
    records = list(store.records.values())
    assert verify(Sampled(records), minilm) == 2
    records[1] = type(records[1])(records[1].id, "another text", records[1].vector, {"source": "b"})
    with pytest.raises(StoreError, match="stored vector of 'b'"):
        verify(Sampled(records), minilm)
    records[1] = type(records[1])(records[1].id, "two", [float("nan")] * 384, {"source": "b"})
    with pytest.raises(StoreError, match="stored vector of 'b'"):
        verify(Sampled(records), minilm)
