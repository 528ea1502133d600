"""Pages and headings of places in a text."""

from __future__ import annotations

from longembed_index.documents.places import capital_lines_in, place_in

GUIDE = """---
title: a guide
---
intro
# Roads #
about roads
```sh
# no heading
```
```code``` of its own line
after the code
## Bridges and `fords`
about bridges
#hashtag
    # indented
last
"""


def heading(text: str, words: str, name: str = "guide.md") -> str | None:
    return place_in(text, text.index(words), name).heading


def test_the_heading_is_the_nearest_above() -> None:
    assert heading(GUIDE, "intro") is None
    assert heading(GUIDE, "about roads") == "Roads"
    assert heading(GUIDE, "no heading") == "Roads"
    assert heading(GUIDE, "after the code") == "Roads"
    assert heading(GUIDE, "about bridges") == "Bridges and `fords`"
    assert heading(GUIDE, "last") == "Bridges and `fords`"
    assert heading(GUIDE, "ridges and") == "Bridges and `fords`"


def test_only_markdown_has_headings() -> None:
    for name in ("notes.txt", "README", "script.py", ""):
        assert heading(GUIDE, "last", name) is None


def test_pages_end_with_form_feeds() -> None:
    text = "one\ftwo\fthree"
    assert [place_in(text, text.index(word), "x.pdf").page for word in ("one", "two", "three")] == [
        1,
        2,
        3,
    ]
    assert place_in("no pages", 3, "x.pdf").page is None


def test_the_share_counts_characters() -> None:
    assert place_in("abcd", 3, "").share == 0.75
    assert place_in("", 0, "").share == 0


def test_lines_in_capitals_that_stand_alone_are_like_headings() -> None:
    text = (
        "SUPPLY AGREEMENT\n\n4. GOVERNING LAW\n\nTHIS IS A SENTENCE.\n\n4.1 The law.\n\nCASH 12\n\n"
        "ARTICLE 5 TERM\n\nIBM\nwas a party.\n\n  § 12 GEBÜHREN \n\n2.1 Data\n\nAB\n\nTHE END"
    )
    assert [text[place:].split("\n")[0] for place in capital_lines_in(text)] == [
        *("SUPPLY AGREEMENT", "4. GOVERNING LAW", "ARTICLE 5 TERM", "§ 12 GEBÜHREN ")
    ]
    assert not list(capital_lines_in("\n\n1.1.1 § AB " * 20_000))
