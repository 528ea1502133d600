"""Chunks of other programs are joined into the documents that they were cut from."""

from __future__ import annotations

import random
from types import SimpleNamespace

from longembed_index.documents.chunks import Chunk, chunk_of, join_chunks

TEXT = " ".join(f"Sentence {number} of the report is about {number * 7}." for number in range(60))


def cut(text: str, size: int, overlap: int) -> list[tuple[int, str]]:
    return [(start, text[start : start + size]) for start in range(0, len(text), size - overlap)]


def chunks(pieces: list[tuple[int, str]], **metadata: object) -> list[Chunk]:
    return [
        Chunk(f"c{number}", text, {"source": "report.txt", **metadata, "start_index": start})
        for number, (start, text) in enumerate(pieces)
    ]


def without_starts(pieces: list[Chunk]) -> list[Chunk]:
    return [Chunk(c.id, c.text, {"source": c.metadata["source"]}) for c in pieces]


def test_chunks_with_places_are_joined_in_any_order() -> None:
    pieces = chunks(cut(TEXT, 300, 60), department="legal")
    random.Random(0).shuffle(pieces)
    joined = join_chunks(pieces)
    (document,) = joined.documents
    assert (document.id, document.text) == ("report.txt", TEXT)
    assert document.metadata == {"source": "report.txt", "department": "legal"}
    assert (joined.gaps, joined.guessed, joined.without_source) == ({}, [], [])


def test_chunks_without_places_are_joined_by_their_overlaps() -> None:
    joined = join_chunks(without_starts(chunks(cut(TEXT, 300, 60))))
    assert [document.text for document in joined.documents] == [TEXT]
    assert joined.guessed == []


def test_what_nothing_tells_is_named() -> None:
    pieces = without_starts(chunks([(0, "The first part."), (0, "The second part.")]))
    joined = join_chunks([*pieces, Chunk("alone", "No source."), Chunk("empty", None)])
    first, alone = joined.documents
    assert first.text == "The first part.\n\nThe second part."
    assert (alone.id, alone.text) == ("alone", "No source.")
    assert joined.guessed == ["report.txt"]
    assert (joined.without_source, joined.without_text) == (["alone"], ["empty"])


def test_text_that_no_chunk_has_is_counted() -> None:
    joined = join_chunks(chunks([(0, "The first part."), (100, "The second part.")]))
    assert joined.documents[0].text == "The first part.\n\nThe second part."
    assert joined.gaps == {"report.txt": 85}


def test_pages_become_pages() -> None:
    pieces = [
        Chunk(f"{page}-{start}", text, {"source": "a.pdf", "page": page, "start_index": start})
        for page, text in ((0, "First page."), (2, TEXT))
        for start, text in cut(text, 300, 60)
    ]
    (document,) = join_chunks(pieces).documents
    assert document.text == f"First page.\f\f{TEXT}\f"


def test_chunks_of_both_frameworks_are_understood() -> None:
    langchain = SimpleNamespace(id=None, page_content="a", metadata={"source": "s"})
    assert chunk_of(langchain, 3) == Chunk("chunk 3", "a", {"source": "s"})
    node = SimpleNamespace(
        id_="n", text="b", metadata={"file_path": "f"}, start_char_idx=5, ref_doc_id="r"
    )
    assert chunk_of(node).metadata == {"file_path": "f", "start_char_idx": 5, "ref_doc_id": "r"}


def test_long_repetitions_take_linear_time() -> None:
    # In square time, this takes hours.
    for text in ["ab" * 100_000, "a" * 200_000]:
        joined = join_chunks(without_starts(chunks([(0, text), (0, text)])))
        assert joined.documents[0].text.startswith(text)
