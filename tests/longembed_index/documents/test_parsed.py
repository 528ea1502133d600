"""Titles and dates of documents: which are of use."""

from __future__ import annotations

from longembed_index.documents.parsed import clean_title, date_field

USELESS = [
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
]


def test_a_useless_title_is_none() -> None:
    for title in USELESS:
        assert clean_title(title) == ""


KEPT = [
    ("1984", "1984"),
    ("Microsoft Word - Minutes of May", "Minutes of May"),
    ("Introduction to\nNode.js", "Introduction to Node.js"),
    ("Report 2019", "Report 2019"),
    ("Document retention policy", "Document retention policy"),
    ("\u65e5\u672c\u8a9e", "\u65e5\u672c\u8a9e"),
]


def test_a_title_that_says_something_is_kept() -> None:
    for title, cleaned in KEPT:
        assert clean_title(title) == cleaned


def test_dates_are_understood_as_files_write_them() -> None:
    assert date_field("D:20190501120000+02'00'") == {"date": "2019-05-01"}
    assert date_field("2019-05-01T12:00:00Z") == {"date": "2019-05-01"}
    assert date_field("2019-02-30") == date_field("May 2019") == date_field(None) == {}
