"""Headers and footers are lines that many pages have at their ends."""

from __future__ import annotations

from longembed_index.documents.page_margins import page_margins


def margins_of(*pages: str) -> list[str]:
    text = "\f".join(pages)
    return [text[start:end].strip() for start, end in page_margins(text)]


def page(number: int, header: str = "ACME ANNUAL REPORT 2018") -> str:
    body = (
        f"# Overview\nSales  1,{number}00\nPage {number}.\nOn after {number}.\nSales  2,{number}10"
    )
    return f"{header}\n\n{body}\n\n  Page {number} of 12 | {header}\n"


def test_lines_that_many_pages_have_at_their_ends_are_margins() -> None:
    header = "ACME ANNUAL REPORT 2018"
    lines = [line for n in range(2, 6) for line in (header, f"Page {n} of 12 | {header}")]
    assert margins_of(*map(page, range(2, 6))) == lines
    left_and_right = [page(n, ("Minutes", "The Council")[n % 2]) for n in range(1, 9)]
    assert margins_of(*left_and_right)[:4] == [
        *("The Council", "Page 1 of 12 | The Council", "Minutes", "Page 2 of 12 | Minutes")
    ]


def test_few_pages_have_no_margins() -> None:
    assert margins_of(page(1), page(2)) == []
    rare = [page(n, "Part II" if n < 4 else f"Part {n * n}") for n in range(1, 30)]
    assert not margins_of(*rare)
    assert margins_of(page(1) + page(2) + page(3)) == []
    assert margins_of("", "\n", "") == []
