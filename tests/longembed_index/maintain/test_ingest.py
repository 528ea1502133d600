from __future__ import annotations

import re

import numpy as np
import pytest
from faulty import ANYTHING, LossyStore, Unwell

from longembed_index.errors import StoreError
from longembed_index.ingestion import ingest
from longembed_index.memory import MemoryStore
from longembed_index.records import Record
from longembed_index.sources import TextSource
from longembed_st.errors import InputError, LongEmbedError, ModelError, TextNotReadWarning


def sources(**texts: str) -> list[TextSource]:
    return [TextSource(name, text, f"{name}.txt") for name, text in texts.items()]


def texts(store: MemoryStore) -> dict[str, str | None]:
    """The text of each document, by name."""
    return {record.name: record.text for record in store.records.values()}


class CountingStore(MemoryStore):
    """Notes how many records each write has; the given number of writes, then it is cut off."""

    def __init__(self, provenance, max_batch: int = 100, writes: float = float("inf")) -> None:
        super().__init__(provenance, max_batch)
        self.writes: list[int] = []
        self.left = writes

    def write(self, records) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        super().write(records)
        self.writes.append(len(records))


LONG = "The committee met on Tuesday to discuss the budget. " * 60


def test_a_record_says_where_it_is_from_and_how_much_was_read(store, minilm, recwarn) -> None:
    from longembed_index.embedding import document_embedder

    report = ingest(sources(long=LONG, short="a note"), store, document_embedder(minilm))
    long, short = sorted(store.records.values(), key=lambda r: -len(r.text))
    tokens = len(minilm.model.tokenizer(LONG, verbose=False)["input_ids"])
    assert long.text == LONG
    assert long.metadata["source"] == long.name == "long"
    assert long.metadata["title"] == "long.txt"
    assert long.metadata["windows"] > 1
    assert long.metadata["read"] == long.metadata["tokens"] >= tokens
    assert short.metadata["windows"] == 1
    np.testing.assert_allclose(long.vector, minilm.model.encode_document(LONG), atol=1e-6)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 0}
    assert report.tokens == report.read == long.metadata["tokens"] + short.metadata["tokens"]
    assert report.share_read == 1


def test_what_a_real_model_does_not_read_is_reported_and_not_warned_of(
    store, short_minilm, recwarn
) -> None:
    from longembed_index.embedding import document_embedder

    embed = document_embedder(short_minilm)
    report = ingest(sources(long=LONG, short="a note"), store, embed)
    (partly,) = report.partly_read
    assert (partly.name, partly.read) == ("long", 256)
    assert not [warning for warning in recwarn if warning.category is TextNotReadWarning]


def test_every_text_is_embedded_once_and_together(store, model) -> None:
    ingest(sources(a="one", b="two", c="three"), store, model)
    assert model.calls == [["one", "two", "three"]]


def test_a_second_run_embeds_and_writes_nothing(model) -> None:
    store = CountingStore(model.provenance)
    ingest(sources(a="one", b="two"), store, model)
    before = dict(store.records)

    def fail(texts):
        raise AssertionError("embedded again")

    report = ingest(sources(a="one", b="two"), store, fail)
    assert report.counts["unchanged"] == 2
    assert store.records == before
    assert store.writes == [2]


def test_a_changed_document_replaces_its_record(store, model) -> None:
    ingest(sources(a="one", b="two"), store, model)
    report = ingest(sources(a="one, revised", b="two"), store, model)
    assert report.counts == {"added": 0, "replaced": 1, "unchanged": 1, "failed": 0}
    assert texts(store) == {"a": "one, revised", "b": "two"}
    assert len(store) == 2


def test_equal_texts_under_two_names_are_two_documents(store, model) -> None:
    ingest(sources(a="same", b="same"), store, model)
    assert texts(store) == {"a": "same", "b": "same"}


def test_equal_contents_of_two_batches_are_embedded_once(store, model) -> None:
    ingest(sources(a="other"), store, model)
    report = ingest(
        sources(**{"x.txt": "same", "y.txt": "more", "z.txt": "same", "a": "same", "w.md": "same"}),
        store,
        model,
        batch_characters=1,
    )
    # Another type of file may be read in another way.
    assert model.calls == [["other"], ["same"], ["more"], ["same"], ["same"]]
    assert report.counts == {"added": 4, "replaced": 1, "unchanged": 0, "failed": 0}
    same = dict.fromkeys(("x.txt", "z.txt", "a", "w.md"), "same")
    assert texts(store) == {**same, "y.txt": "more"}
    records = {record.name: record for record in store.records.values()}
    np.testing.assert_array_equal(records["z.txt"].vector, records["x.txt"].vector)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("\u200b\ufeff \0", "has no text"),
        ("bad \ud800 text", r"lone surrogate \(U\+D800\) at character 4"),
    ],
)
def test_a_document_without_valid_text_is_named_and_not_stored(store, minilm, text, reason) -> None:
    from longembed_index.embedding import document_embedder

    report = ingest(sources(good="fine", bad=text), store, document_embedder(minilm))
    assert texts(store) == {"good": "fine"}
    ((name, why),) = report.failed
    assert name == "bad"
    assert re.search(reason, why)


def test_a_name_that_is_not_unicode_is_refused(store, model) -> None:
    report = ingest([TextSource("caf\udce9", "text")], store, model)
    assert "name has the lone surrogate" in report.failed[0][1]
    assert not len(store)


def test_a_name_that_comes_twice_is_refused(store, model) -> None:
    report = ingest([TextSource("a", "one"), TextSource("a", "two")], store, model)
    assert texts(store) == {"a": "one"}
    assert report.failed == [("a", "has the name of an earlier document of this run")]


@pytest.mark.parametrize("error", [InputError, ModelError])
def test_one_bad_document_does_not_take_its_batch_with_it(store, model, error) -> None:
    def embed(texts):
        if any("bad" in text for text in texts):
            raise error("no vector for this one")
        return model(texts)

    report = ingest(sources(a="one", x="bad", c="three"), store, embed)
    assert texts(store) == {"a": "one", "c": "three"}
    assert report.failed == [("x", "no vector for this one")]
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 0, "failed": 1}
    for record in store.records.values():
        np.testing.assert_array_equal(record.vector, model.vector(record.text))


def test_a_vector_that_is_not_finite_is_not_stored(store, model) -> None:
    def embed(texts):
        encoded = model(texts)
        encoded.vectors[texts.index("bad"), 3] = np.nan
        return encoded

    report = ingest(sources(a="one", x="bad", c="three"), store, embed)
    assert texts(store) == {"a": "one", "c": "three"}
    ((name, reason),) = report.failed
    assert name == "x"
    assert "not finite" in reason


def test_an_error_that_is_not_ours_is_not_hidden(store) -> None:
    def embed(texts):
        raise MemoryError

    assert not issubclass(MemoryError, LongEmbedError)
    with pytest.raises(MemoryError):
        ingest(sources(a="one"), store, embed)


def test_a_failed_new_version_leaves_the_old_one_and_says_so(store, model) -> None:
    ingest(sources(a="one"), store, model)
    report = ingest(sources(a="  "), store, model)
    assert texts(store) == {"a": "one"}
    assert report.failed == [("a", "is empty; the store keeps its earlier version")]


def test_batches_keep_to_characters_and_to_the_stores_limit(model) -> None:
    store = CountingStore(model.provenance, max_batch=3)
    documents = sources(**{f"d{i}": f"wor{i} " * (100 if i == 0 else 1) for i in range(8)})
    ingest(documents, store, model, batch_characters=400)
    assert store.writes == [1, 3, 3, 1]


def test_every_document_is_reported_as_soon_as_it_is_settled(store, model) -> None:
    seen = []
    ingest(
        sources(a="one", b="", c="three"),
        store,
        model,
        on_outcome=lambda outcome: seen.append((outcome.name, outcome.status, len(store))),
        batch_characters=1,
    )
    assert seen == [("a", "added", 1), ("b", "failed", 1), ("c", "added", 2)]


def test_a_run_that_was_cut_off_ends_as_an_uninterrupted_one(model) -> None:
    documents = sources(**{f"d{i}": f"document number {i}" for i in range(6)})
    clean = MemoryStore(model.provenance)
    ingest(documents, clean, model, batch_characters=1)
    store = CountingStore(model.provenance, writes=4)
    with pytest.raises(KeyboardInterrupt):
        ingest(documents, store, model, batch_characters=1)
    assert len(store) == 4
    store.left = float("inf")
    report = ingest(documents, store, model, batch_characters=1)
    assert report.counts == {"added": 2, "replaced": 0, "unchanged": 4, "failed": 0}
    assert texts(store) == texts(clean)
    assert store.records.keys() == clean.records.keys()


def test_a_run_killed_between_new_and_old_version_is_tidied_up(store, model) -> None:
    ingest(sources(a="one"), store, model)
    old = dict(store.records)
    ingest(sources(a="two"), store, model)
    store.records.update(old)
    report = ingest(sources(a="two"), store, model)
    assert report.counts["unchanged"] == 1
    assert texts(store) == {"a": "two"}
    assert len(store) == 1


def test_documents_that_are_gone_are_listed_and_pruned_on_demand(store, model) -> None:
    ingest(sources(a="one", b="two", elsewhere="three"), store, model)

    def is_gone(name: str) -> bool:
        return name != "elsewhere"

    report = ingest(sources(a="one"), store, model, is_gone=is_gone)
    assert (report.gone, report.pruned) == (["b"], False)
    assert len(store) == 3
    report = ingest(sources(a="one"), store, model, is_gone=is_gone, prune=True)
    assert (report.gone, report.pruned) == (["b"], True)
    assert texts(store) == {"a": "one", "elsewhere": "three"}


def test_a_document_read_in_part_is_named(store, fake_model) -> None:
    report = ingest(sources(long=LONG, short="a note"), store, fake_model(limit=256))
    (partly,) = report.partly_read
    assert partly.name == "long"
    assert partly.read == 256 < partly.tokens
    assert 0 < report.share_read < 1


def test_a_document_that_is_too_long_can_be_refused(store, fake_model) -> None:
    strict = fake_model(limit=256, refuse_longer=True)
    report = ingest(sources(long=LONG, short="a note"), store, strict)
    assert texts(store) == {"short": "a note"}
    assert "longer than the window of 256" in report.failed[0][1]


def test_a_store_that_loses_records_is_not_believed(store, model) -> None:
    store.write = lambda records: None
    with pytest.raises(StoreError, match="not in the store as they were written"):
        ingest(sources(a="one"), store, model)


@pytest.mark.parametrize("metadata", [{}, {"source": "a", "tokens": "many"}])
def test_records_of_other_programs_are_left_alone(store, model, metadata) -> None:
    theirs = Record("/docs/theirs", None, model.vector("x"), metadata)
    store.write([theirs])
    everything_is_gone = {"is_gone": lambda name: True, "prune": True}
    report = ingest(sources(a="one"), store, model, **everything_is_gone)
    assert report.counts["added"] == 1
    assert report.gone == []
    assert store.get(["/docs/theirs"]) == [theirs]
    report = ingest(sources(a="two"), store, model, **everything_is_gone)
    assert report.counts["replaced"] == 1
    assert store.get(["/docs/theirs"]) == [theirs]


def test_a_reader_that_raises_anything_costs_one_document(store, model) -> None:
    unwell = [Unwell(error) for error in ANYTHING]
    for number, source in enumerate(unwell):
        source.name = f"unwell {number}"
    report = ingest([*unwell, *sources(well="a text")], store, model)
    assert texts(store) == {"well": "a text"}
    assert report.counts["failed"] == len(report.failed) == len(ANYTHING)
    assert all(reason.startswith("cannot be read: ") for _, reason in report.failed)


def test_a_store_that_has_lost_vectors_is_refused(model) -> None:
    store = LossyStore(model.provenance)
    ingest(sources(a="a text", b="another"), store, model)
    store.lose("a text")
    with pytest.raises(StoreError, match=r"1 of the 2 documents .* longembed repair"):
        ingest(sources(c="a third"), store, model)
    assert len(store) == 2
