"""Documents are read ahead in their order, and no more of them than is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from index_fakes import embed_with, texts_of

from longembed_index.document import Document
from longembed_index.documents.parsed import Parsed
from longembed_index.documents.sources import TextSource
from longembed_index.maintain import read_ahead
from longembed_index.maintain.ingest import ingest
from longembed_index.maintain.read_ahead import SourceReader
from longembed_st.errors import InputError
from longembed_st.extras import MissingExtraError

SECONDS = 60
"""An end for tests that would wait for ever."""


class NotedSource(TextSource):
    """Notes when its text is read; fails with an error that is given."""

    read_ids: list[str]
    error: Exception | None = None

    def read(self, content: bytes) -> Parsed:
        self.read_ids.append(self.id)
        if self.error is not None:
            raise self.error
        return super().read(content)


@pytest.fixture
def read_ids() -> list[str]:
    return []


@pytest.fixture
def noted(read_ids):
    def sources(*texts: str) -> list[NotedSource]:
        made = [NotedSource(Document(f"{number}", text)) for number, text in enumerate(texts)]
        for source in made:
            object.__setattr__(source, "read_ids", read_ids)
        return made

    return sources


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "longembed-reader"]


@pytest.mark.parametrize("is_sequence", [True, False])
def test_documents_come_in_their_order_with_their_errors(noted, is_sequence) -> None:
    sources = noted(*[f"text {number}" for number in range(20)])
    object.__setattr__(sources[3], "error", InputError("has no text"))
    object.__setattr__(sources[7], "error", MissingExtraError("a library is missing"))
    readings = SourceReader([]).readings(sources if is_sequence else iter(sources))
    results = list(readings)
    assert [source.id for source, _ in results] == [source.id for source in sources]
    for number, (_, reading) in enumerate(results):
        if number in (3, 7):
            assert isinstance(reading, type(sources[number].error))
        else:
            assert reading.parsed.text == f"text {number}"


def test_the_text_of_known_content_is_not_read(noted, read_ids) -> None:
    sources = noted("one", "two", "three")
    known = [SourceReader([]).read(source)[0] for source in sources[:2]]
    read_ids.clear()
    results = {source.id: reading for source, reading in SourceReader(known).readings(sources)}
    assert read_ids == ["2"]
    assert [results[key].parsed is None for key in "012"] == [True, True, False]
    assert [results[key].content_hash for key in "01"] == known


def test_the_next_documents_are_read_while_one_is_embedded(store, model, noted, read_ids) -> None:
    sources = noted("one", "two", "three")
    has_read_all = threading.Event()
    read = sources[2].read

    def read_last(content: bytes) -> Parsed:
        parsed = read(content)
        has_read_all.set()
        return parsed

    object.__setattr__(sources[2], "read", read_last)
    embed = embed_with(model)

    def embed_when_all_are_read(texts):
        assert has_read_all.wait(SECONDS)
        return embed(texts)

    ingest(sources, store, embed_when_all_are_read, batch_characters=1)
    assert texts_of(store) == {"0": "one", "1": "two", "2": "three"}
    assert model.calls == [["one"], ["two"], ["three"]]


def test_no_more_is_read_ahead_than_is_said(noted, read_ids, monkeypatch) -> None:
    monkeypatch.setattr(read_ahead, "AHEAD_BYTES", 10)
    sources = noted(*["12345"] * 2, "123", *["a text beyond the limit"] * 3)
    readings = SourceReader([]).readings(sources)
    next(readings)
    # The first goes on when a third is asked for, as the three have more than ten characters.
    assert set(read_ids) <= {"0", "1", "2"}
    readings.close()


def test_documents_that_are_made_one_by_one_are_not_asked_for_early(noted) -> None:
    asked: list[str] = []

    def one_by_one() -> Iterator[NotedSource]:
        for source in noted("one", "two"):
            asked.append(source.id)
            yield source

    for number, _ in enumerate(SourceReader([]).readings(one_by_one()), 1):
        assert len(asked) == number


def test_the_thread_ends_when_the_rest_is_not_wanted(store, noted) -> None:
    def fail(texts):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        ingest(noted("one", "two", "three"), store, fail, batch_characters=1)
    for thread in readers():
        thread.join(SECONDS)
        assert not thread.is_alive()
