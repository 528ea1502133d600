from __future__ import annotations

from pdf_files import at, column, pdf_of

from longembed_index.documents.formats.pdf import read_pdf
from longembed_index.documents.formats.pdf_lines import join_hyphens

BODIES = ["The quay is old.", "Its wall leans.", "It was built in 1880.", "Dues rose.", "End."]


def joined(*lines: str) -> list[str]:
    (page,) = join_hyphens([list(lines)], [[True] + [False] * (len(lines) - 1)])
    return page


def test_words_that_are_cut() -> None:
    for lines, whole in (
        (("a docu-", "ment here"), ["a document", "here"]),
        (("It is well-", "known."), ["It is well-known.", ""]),
        (("fact-checking", "of fact-", "checking by"), ["fact-checking", "of fact-checking", "by"]),
        (
            ("both are single", "and hop: single-", "hop too"),
            ["both are single", "and hop: single-hop", "too"],
        ),
        (("the PROGRAM", "a PRO-", "GRAM of"), ["the PROGRAM", "a PROGRAM", "of"]),
        (("the indus-", "Question: who"), ["the indus-", "Question: who"]),
        (("from 2019-", "2020 on"), ["from 2019-", "2020 on"]),
        (("soft\xad", "ened so\xadft"), ["softened", "soft"]),
    ):
        assert joined(*lines) == whole


def test_the_other_pages_tell_how_a_word_is_written() -> None:
    pages = [["a pre-", "trained net"], ["they are pre-trained and pre-trained"]]
    assert join_hyphens(pages, [[True, False], [True]])[0] == ["a pre-trained", "net"]


def pages_with(header: str, footer: str) -> str:
    pages = [
        at(72, 760, header) + at(72, 700, body) + at(72, 30, footer.replace("#", str(number)))
        for number, body in enumerate(BODIES, 1)
    ]
    return read_pdf(pdf_of(*pages)).text


def test_headers_and_footers_stay_where_they_come_first() -> None:
    for footer in ["#", "Page # of 5", "Harbour report | #"]:
        text = pages_with("The harbour of Hull", footer)
        assert text.count("The harbour of Hull") == 1
        first, *others = text.split("\f")
        assert "The harbour of Hull" in first
        assert footer.replace("#", "1") in first
        for body, page in zip(BODIES[1:], others, strict=False):
            assert page.strip() == body


def test_rows_that_differ_in_numbers_stay() -> None:
    pages = [
        column(72, [f"Invoice {n}", f"{n} tons of coal", f"{10 * n} tons of salt"])
        for n in range(1, 6)
    ]
    text = read_pdf(pdf_of(*pages)).text
    for n in range(1, 6):
        assert f"Invoice {n}" in text
        assert f"{n} tons of coal" in text
        assert f"{10 * n} tons of salt" in text


def test_a_line_that_some_pages_begin_with_is_no_header() -> None:
    firsts = ["Parameters", "Quay", "Dues", "Parameters", "Wall", "Salt", "Coal", "Parameters"]
    pages = [column(72, [first, f"text {first} {n}"]) for n, first in enumerate(firsts)]
    assert read_pdf(pdf_of(*pages)).text.count("Parameters\n") == 3
