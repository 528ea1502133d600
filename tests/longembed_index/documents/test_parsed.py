"""Titles of documents: which are of use."""

from __future__ import annotations

import pytest

from longembed_index.documents.parsed import clean_title


@pytest.mark.parametrize(
    "title",
    [
        "0001065280-16-000047",
        "Microsoft Word - x.doc",
        "untitled",
        "Untitled-2",
        "Document1",
        "Slide 1",
        "annual_report_final.INDD",
        "2a9b1c04-77aa-4f0e-9d3f-0123456789ab",
        "Pr\u00e4sentation1",
        "...",
        None,
    ],
)
def test_a_useless_title_is_none(title: str | None) -> None:
    assert clean_title(title) == ""


@pytest.mark.parametrize(
    ("title", "cleaned"),
    [
        ("1984", "1984"),
        ("Microsoft Word - Minutes of May", "Minutes of May"),
        ("Introduction to\nNode.js", "Introduction to Node.js"),
        ("Report 2019", "Report 2019"),
        ("Document retention policy", "Document retention policy"),
        ("\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"),
    ],
)
def test_a_title_that_says_something_is_kept(title: str, cleaned: str) -> None:
    assert clean_title(title) == cleaned
