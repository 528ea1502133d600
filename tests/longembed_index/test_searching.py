from __future__ import annotations

import pytest

from longembed_index.ingestion import ingest
from longembed_index.records import Record
from longembed_index.searching import Hit, search
from longembed_index.sources import TextSource


def test_a_hit_is_a_document_with_its_length_and_the_share_read(store, fake_model) -> None:
    model = fake_model(limit=4)
    ingest(
        [TextSource("a", "one two three four five", "a.txt"), TextSource("b", "two")], store, model
    )
    first, second = search(store, model.vector("one two three four five"), 5)
    assert first == Hit(pytest.approx(1), "a", "a.txt", 5, 4)
    assert first.share_read == 0.8
    assert (second.source, second.title, second.share_read) == ("b", "b", 1)


THEIRS = [
    {},
    {"source": "their/file.pdf"},
    {"source": 3, "title": 4, "tokens": "many", "read": None},
    {"source": "x", "content_hash": "y", "tokens": "3", "read": "2", "windows": "1"},
]


@pytest.mark.parametrize("metadata", THEIRS)
def test_a_record_of_another_program_is_shown_by_its_id(store, model, metadata) -> None:
    store.write([Record("theirs", None, [1.0, 0.0], metadata)])
    (hit,) = search(store, [1.0, 0.0], 5)
    assert hit == Hit(pytest.approx(1), "theirs", "theirs", None, None)
    assert hit.share_read is None
