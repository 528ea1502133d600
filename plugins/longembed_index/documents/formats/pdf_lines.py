"""Lines of PDF pages as a running text: words cut at line ends, headers, footers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longembed_index.documents.formats.pdf_pieces import Piece

OUTERMOST = 3
"""Headers and footers are among so many lines at the top and at the bottom of a page."""
_SAME_HEIGHT = 3.0
"""And stand at the same height on their pages, within so many points."""
_MOST = 0.4
"""And so many of the pages with a line at that height have the same; half, if left and right pages
differ."""

_PAGE_NUMBER = re.compile(
    r"(?:\A|\b(?:page|seite|pagina|página|p\.|pg\.|s\.)\s*|  |[|/•·–—-]\s*)(\d{1,5})\Z"
    r"|\A(\d{1,5})(?:\Z|  |\s*[|/•·–—-])"
    r"|\b(?:page|seite|pagina|página)\s*(\d{1,5})\b",
    re.IGNORECASE,
)
_LAST_NUMBER = re.compile(r"\w+ .*?\D(\d{1,5})\Z")

_CUT_WORD = re.compile(r"([^\W\d_]+)([-\u2010\u2011\xad])\Z")
_PREFIXES = ("cross", "half", "high", "multi", "non")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010\u2011][^\W\d_]+)*")


def repeated_lines(pages: Sequence[Sequence[Piece]]) -> tuple[list[set[int]], list[set[int]]]:
    """Find the headers and footers of pages.

    They are lines at the top or bottom that most pages from one to another have at the same
    height: the same text, or one that differs in nothing but the page number.

    Returns:
        Of each page the places of such lines, and those of them that an earlier page has, too.
    """
    taken: list[set[int]] = [set() for _ in pages]
    places: defaultdict[tuple[str, bool], list[tuple[int, int, float]]] = defaultdict(list)
    for number, lines in enumerate(pages):
        for place, is_last in _outermost(lines):
            taken[number].update(round(lines[place].middle) + near for near in (-2, -1, 0, 1, 2))
            for key in line_keys(lines[place].text, number, is_last and len(lines) > 1):
                places[key].append((number, place, lines[place].middle))
    running: list[set[int]] = [set() for _ in pages]
    repeats: list[set[int]] = [set() for _ in pages]
    for (_, is_numbered), same in places.items():
        for group in _at_one_height(same):
            with_it = {number for number, _, _ in group}
            few = len(with_it) < 2 or len(pages) > 4 or is_numbered
            if len(with_it) < 3 and few:
                continue
            heights = {round(height) for _, _, height in group}
            beside = sum(
                not heights.isdisjoint(taken[number])
                for number in range(min(with_it), max(with_it) + 1)
            )
            if len(with_it) >= _MOST * beside:
                for number, place, _ in group:
                    running[number].add(place)
                    if number != group[0][0]:
                        repeats[number].add(place)
    return running, repeats


def _outermost(lines: Sequence[Piece]) -> Iterator[tuple[int, bool]]:
    """Yield the places of the lines at the top and bottom, and whether one is the last."""
    by_height = sorted(range(len(lines)), key=lambda place: -lines[place].middle)
    for rank, place in enumerate(by_height):
        if rank < OUTERMOST or rank >= len(lines) - OUTERMOST:
            yield place, rank == len(lines) - 1


def line_keys(text: str, number: int, is_last: bool) -> Iterator[tuple[str, bool]]:
    """Yield what equal lines of other pages have in common with a line, and if it is numbered.

    Args:
        text: The line.
        number: The place of its page among the pages.
        is_last: Whether it is the last line of its page.
    """
    yield text, False
    matches = [_PAGE_NUMBER.search(text), _LAST_NUMBER.match(text) if is_last else None]
    for match in matches:
        if match and match.lastindex:
            start, end = match.span(match.lastindex)
            yield f"{text[:start]}\0{int(text[start:end]) - number}\0{text[end:]}", True


def _at_one_height(same: list[tuple[int, int, float]]) -> Iterator[list[tuple[int, int, float]]]:
    group: list[tuple[int, int, float]] = []
    for item in sorted(same, key=lambda item: item[2]):
        if group and item[2] - group[-1][2] > _SAME_HEIGHT:
            yield sorted(group)
            group = []
        group.append(item)
    yield sorted(group)


def join_hyphens(pages: list[list[str]], begins: list[list[bool]]) -> list[list[str]]:
    """Join words that are cut at the end of a line, and leave hyphens that belong to a word.

    Returns:
        As many lines; a line whose only word was joined to the line before is empty.
    """
    known = _words(pages)
    joined = []
    for lines, starts in zip(pages, begins, strict=True):
        page = list(lines)
        for place in range(len(page) - 1):
            if not starts[place + 1]:
                page[place], page[place + 1] = _joined(page[place], page[place + 1], known)
        joined.append([line.replace("\xad", "") for line in page])
    return joined


def _words(pages: list[list[str]]) -> Counter[str]:
    """Count the words that are not cut, and the pairs of parts of those with hyphens."""
    known: Counter[str] = Counter()
    for lines in pages:
        is_cut = False
        for line in lines:
            words = [match.group().casefold() for match in _WORD.finditer(line)]
            first, is_cut = int(is_cut), _CUT_WORD.search(line) is not None
            for word in words[first : len(words) - is_cut]:
                known[word] += 1
                parts = re.split(r"[-\u2010\u2011]", word)
                if len(parts) > 2:
                    known.update(map("-".join, pairwise(parts)))
    return known


def _joined(line: str, after: str, known: Counter[str]) -> tuple[str, str]:
    """Return two lines; a word that is cut between them is whole on the first."""
    cut, rest = _CUT_WORD.search(line), _FIRST_WORD.match(after)
    if not cut or not rest:
        return line, after
    start, end = cut.group(1), rest.group()
    whole = known[(start + end).casefold()]
    hyphened = known[f"{start}-{end}".casefold()]
    if cut.group(2) == "\xad" or whole > hyphened:
        hyphen = ""
    elif hyphened:
        hyphen = "-"
    elif end[0].isupper():
        return line, after
    else:
        hyphen = _usual_hyphen(start, end, known)
    word, _, others = after.partition(" ")
    return f"{line[: cut.start(2)]}{hyphen}{word}", others.lstrip()


def _usual_hyphen(start: str, end: str, known: Counter[str]) -> str:
    """Return the hyphen, or nothing, for a word that the document has nowhere else."""
    start, end = start.casefold(), end.casefold()
    if start in ("self", "well"):
        return "-"
    is_compound = known[end] and (known[start] or start in _PREFIXES)
    return "-" if is_compound else ""
