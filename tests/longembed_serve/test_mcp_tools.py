"""What the tools for agents return: places, budgets, and what is said of wrong arguments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from index_fakes import use_fake_models

from longembed_index import Document, Index
from longembed_index.documents.parsed import LeftOut
from longembed_serve import mcp_schemas, mcp_tools
from longembed_serve.mcp_schemas import (
    ContextArguments,
    DocumentArguments,
    ListArguments,
    SearchArguments,
)
from longembed_serve.mcp_tools import words_of
from longembed_st.errors import ConfigError

FILLER = "The council spoke at length of the weather, and agreed on nothing at all that day. "
PAGES = [FILLER * 8, FILLER * 8 + "The widow of a captain paid for the crane. ", "", FILLER * 8]
LONG = "\f".join([*PAGES, ""])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use_fake_models(patch)
        with Index.open(tmp_path_factory.mktemp("index") / "store", model="fake") as index:
            index.add_documents(
                [
                    Document("/files/harbour.pdf", LONG, {"year": 2019}, title="The harbour"),
                    Document("/files/orchard.txt", FILLER * 40, {"year": 2021, "note": "x " * 90}),
                    Document(
                        "letter",
                        "The crane of the harbour is new.",
                        {"year": 2021, "signed by": "everybody " * 30},
                    ),
                    Document("draft", "A draft of the council.", {"year": 2020}),
                ]
            )
            yield index


def search(index, **arguments):
    return mcp_tools.search(index, SearchArguments(**arguments))


def read(index, source, **arguments):
    return mcp_tools.get_document(index, DocumentArguments(source=source, **arguments))


def listed(index, **arguments):
    return mcp_tools.list_documents(index, ListArguments(**arguments))


def test_a_search_gives_passages_with_their_places(index) -> None:
    result = search(index, query="who paid for the crane of the captain?", k=2)
    hit = next(hit for hit in result.hits if hit.title == "The harbour")
    assert (hit.source, hit.pages, hit.characters) == ("/files/harbour.pdf", 4, len(LONG))
    passage = next(passage for passage in hit.passages if "widow" in passage.text)
    assert passage.page == 2
    assert LONG[passage.start : passage.end] == passage.text
    assert len(hit.passages) <= 2
    assert result.not_shown == []


def test_a_search_is_filtered(index) -> None:
    result = search(index, query="the council", where={"year": {"gte": 2020}}, k=9)
    assert {hit.source for hit in result.hits} == {"/files/orchard.txt", "letter", "draft"}
    nothing = search(index, query="the council", where={"year": 1066})
    assert (nothing.hits, nothing.is_answered) == ([], False)


def test_what_a_search_has_no_room_for_is_named(index) -> None:
    whole = search(
        index, query="the crane of the council", k=9, passages=9, max_words=mcp_schemas.MAX_WORDS
    )
    assert not any("passages" in note for hit in whole.hits for note in hit.not_shown)
    for max_words in range(120, words_of(whole), 40):
        part = search(index, query="the crane of the council", k=9, passages=9, max_words=max_words)
        assert words_of(part) <= max_words
        assert [hit.source for hit in part.hits] == [
            hit.source for hit in whole.hits[: len(part.hits)]
        ]
        missing = whole.hits[len(part.hits) :]
        assert [f"documents ({len(missing)})" in line for line in part.not_shown] == [True] * bool(
            missing
        )
        assert all(hit.title in part.not_shown[0] for hit in missing)
        for hit, all_of_it in zip(part.hits, whole.hits, strict=False):
            fewer = len(all_of_it.passages) - len(hit.passages)
            assert (f"passages ({fewer})" in hit.not_shown) is (fewer > 0)


def test_long_metadata_is_named_among_others_and_shown_with_the_document(index) -> None:
    (hit,) = search(index, query="the council", where={"source": "*orchard*"}).hits
    assert hit.metadata == {}
    assert "see get_document" in hit.not_shown[0]
    document = read(index, hit.source, max_words=400)
    assert document.metadata["note"].startswith("x x")
    assert "metadata (" in read(index, hit.source, max_words=100).not_shown[0]


def test_every_tool_tells_which_parts_of_a_file_were_not_read(index) -> None:
    index.add_documents([Document("scan.pdf", "The mill has a wheel.")])
    parts = tuple(LeftOut(f"pages {n}-{n + 1}", "scanned pages", 2) for n in range(1, 15, 2))
    with index.writing() as store:
        store.write([replace(index.record("scan.pdf"), left_out=parts)])
    only = {"source": "scan.pdf"}
    (hit,) = search(index, query="wheel", where=only).hits
    (entry,) = listed(index, where=only).documents
    context = mcp_tools.get_context(index, ContextArguments(question="wheel", where=only))
    named = [str(part) for part in parts]
    for result in (hit, entry, context.documents[0]):
        assert result.left_out == [*named[:5], "2 more"]
    assert read(index, "scan.pdf").left_out == named
    index.delete(["scan.pdf"])


def test_a_context_fits_its_budget_with_its_citations(index) -> None:
    for max_words in (80, 200, 900):
        arguments = ContextArguments(question="who paid for the crane?", max_words=max_words)
        result = mcp_tools.get_context(index, arguments)
        assert words_of(result) <= max_words
        numbers = [p.number for document in result.documents for p in document.passages]
        assert numbers == list(range(1, len(numbers) + 1))
        for document in result.documents:
            text = index.get(document.source).text
            for passage in document.passages:
                assert " ".join(text[passage.start : passage.end].split()) in " ".join(
                    result.text.split()
                )
    assert "widow" in result.text
    assert (2, "/files/harbour.pdf") in {
        (passage.page, document.source)
        for document in result.documents
        for passage in document.passages
    }


def test_a_document_is_read_whole_and_page_by_page(index) -> None:
    whole = read(index, "/files/harbour.pdf")
    assert [part.page for part in whole.parts] == [1, 2, 3, 4]
    assert [part.text for part in whole.parts] == PAGES
    assert all(LONG.startswith(part.text, part.start) for part in whole.parts)
    assert (whole.next_start, whole.not_shown) == (None, [])
    (page,) = read(index, "/files/harbour.pdf", first_page=2, last_page=2).parts
    assert (page.page, page.text) == (2, PAGES[1])
    rest = read(index, "/files/harbour.pdf", first_page=3, last_page=99)
    assert [part.text for part in rest.parts] == PAGES[2:]
    (part,) = read(index, "/files/harbour.pdf", start=4, end=11).parts
    assert (part.page, part.start, part.text) == (1, 4, "council")
    (plain,) = read(index, "letter").parts
    assert (plain.page, plain.text) == (None, "The crane of the harbour is new.")


def test_a_long_document_is_read_on_where_it_ended(index) -> None:
    for source in ("/files/harbour.pdf", "/files/orchard.txt"):
        text, read_so_far, start = index.get(source).text, "", 0
        while start is not None:
            piece = read(index, source, start=start, max_words=120)
            assert words_of(piece) <= 120
            assert piece.start == start < piece.end
            is_last = piece.end == len(text)
            assert (piece.next_start is None) == (not piece.not_shown[-1:] or is_last)
            read_so_far += text[piece.start : piece.end]
            shown = "\f".join(part.text for part in piece.parts)
            assert shown == text[piece.start : piece.end].removesuffix("\f")
            start = piece.next_start
        assert read_so_far == text


def test_a_word_that_is_longer_than_the_budget_is_read_in_pieces(index) -> None:
    index.add_documents([Document("one word", "x" * 20_000)])
    first = read(index, "one word", max_words=100)
    assert 0 < first.next_start < 20_000
    assert read(index, "one word", start=first.next_start, max_words=100).end > first.end
    index.delete(["one word"])


def test_lists_are_paged_and_follow_what_is_written_meanwhile(index) -> None:
    assert [document.source for document in listed(index).documents] == [
        "/files/harbour.pdf",
        "/files/orchard.txt",
        "draft",
        "letter",
    ]
    first = listed(index, max_words=50)
    assert (first.total, first.next_after) == (4, first.documents[-1].source)
    assert first.next_after < "letter"
    index.add_documents([Document("zebra", "A late one."), Document("/files/a", "An early one.")])
    sources, after = [], first.next_after
    while after is not None:
        page = listed(index, max_words=50, after=after)
        sources += [document.source for document in page.documents]
        after = page.next_after
    index.delete(["zebra", "/files/a"])
    assert [d.source for d in first.documents] + sources == [
        "/files/harbour.pdf",
        "/files/orchard.txt",
        "draft",
        "letter",
        "zebra",
    ]
    assert listed(index, where={"year": 2021}).total == 2


def test_what_cannot_be_read_is_said(index) -> None:
    for source, arguments, reason in (
        ("harbour.pdf", {}, "Similar: /files/harbour.pdf"),
        ("../../etc/passwd", {}, "list_documents lists all"),
        ("", {}, "there is no document ''"),
        ("letter", {"first_page": 1}, "the pages of this document are not known"),
        ("/files/harbour.pdf", {"first_page": 5}, "has 4 pages"),
        ("/files/harbour.pdf", {"first_page": 3, "last_page": 2}, "after last_page"),
        ("/files/harbour.pdf", {"first_page": 1, "start": 5}, "and not both"),
        ("letter", {"start": 10**9}, "has 32 characters"),
        ("letter", {"start": 9, "end": 9}, "no character from 9 to 9"),
    ):
        with pytest.raises(ConfigError) as error:
            read(index, source, **arguments)
        assert reason in str(error.value)


def test_a_budget_that_is_too_small_is_said(index) -> None:
    long_id = "/a/" + "folder/" * 400 + "b.txt"
    index.add_documents([Document(long_id, "The wheel of the mill.")])
    calls = [
        lambda: read(index, long_id, max_words=50),
        lambda: search(index, query="wheel", where={"source": long_id}, max_words=50),
        lambda: listed(index, where={"source": long_id}, max_words=50),
        lambda: mcp_tools.get_context(
            index, ContextArguments(question="wheel", where={"source": long_id}, max_words=50)
        ),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="max_words is 50"):
            call()
    index.delete([long_id])
