"""The headers and footers of pages in a plain text, such as pdftotext writes."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from longembed_index.documents.formats.pdf_lines import OUTERMOST, line_keys
from longembed_index.documents.parsed import PAGE_END
from longembed_index.documents.places import HEADING

_LEAST_PAGES, _LEAST_SHARE = 3, 0.2
"""The least number of pages that have the same line there, and their share of all pages."""

_LINE = re.compile(r"[^\n]*\S")


def page_margins(text: str) -> NDArray[np.int64]:
    """Return the lines that many pages of a text begin or end with, but for the page number.

    Args:
        text: Any text; without form feeds, it has no such lines. Headings of Markdown are none.

    Returns:
        Half-open ranges of characters in the order of the text, shape (lines, 2).
    """
    places: defaultdict[tuple[str, bool], dict[int, list[tuple[int, int]]]]
    places = defaultdict(lambda: defaultdict(list))
    pages = text.split(PAGE_END) if PAGE_END in text else []
    start = 0
    for number, page in enumerate(pages):
        lines = [match.span() for match in _LINE.finditer(page)]
        for place in {*range(len(lines))[:OUTERMOST], *range(len(lines))[-OUTERMOST:]}:
            line = page[slice(*lines[place])]
            if not HEADING.fullmatch(line):
                span = (start + lines[place][0], start + lines[place][1])
                for key in line_keys(line.strip(), number, place == len(lines) - 1):
                    places[key][number].append(span)
        start += len(page) + 1
    least = max(_LEAST_PAGES, _LEAST_SHARE * len(pages))
    repeated = [on_pages for on_pages in places.values() if len(on_pages) >= least]
    spans = {span for on_pages in repeated for of_page in on_pages.values() for span in of_page}
    return np.array(sorted(spans), dtype=np.int64).reshape(-1, 2)
