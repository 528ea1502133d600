"""The sentence units of a text: the smallest pieces that have a vector.

A unit is a sentence, several short sentences, some rows of a table, or some lines of code.
Headings, tables and code are recognised from the text alone: the same text has the same units,
whatever the name of its file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import sentencex  # type: ignore[import-untyped]
from numpy.typing import NDArray

from longembed_index.documents.parsed import PAGE_END
from longembed_index.documents.places import FENCE, HEADING
from longembed_index.lexical.analyzer import guess_language

LEAST_WORDS = 15
"""A unit with fewer words is joined with the next sentence."""

MOST_WORDS = 50
"""A sentence with more words is cut."""

_LONG_WORD = 20
"""A word counts once more for each such number of characters."""

_SPLITTER_CHARACTERS = 5_000
"""The most characters in one call of the splitter, whose time grows faster than its input."""

_LANGUAGE_CODES = {
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "norwegian": "no",
    "portuguese": "pt",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "turkish": "tr",
}

# Scripts without spaces between words; two characters count as a word.
_EAST_ASIAN = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
_SPACED_BY_CLAUSE = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
_UNSPACED = re.compile(f"[{_EAST_ASIAN}{_SPACED_BY_CLAUSE}]")
_CLAUSES = re.compile(f"[{_SPACED_BY_CLAUSE}]")

# What `str.split` takes for a space; characters beyond this table are parts of words.
_IN_WORD = np.ones(0x3002, dtype=bool)
_IN_WORD[[*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]] = False
_IN_WORD[[0x2028, 0x2029, 0x202F, 0x205F, 0x3000]] = False

_CLOSING = "\"'”’»›」』】）)\\]"
_END = re.compile(f"[.!?。！？｡…।॥።؟۔។៕။]+[{_CLOSING}]*")
_END_OF_LINE = re.compile(f"[.!?:;。！？｡：；…।॥።؟۔។៕။][{_CLOSING}]*$")
_END_OR_SPACES = re.compile(rf"{_END.pattern}|\s+")
_SPACES = re.compile(r"\s+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_END_OF_CLAUSE = re.compile(r"[,;:|、，；：]\s*|\s[–—-]\s")

_ITEM = re.compile(r"\s*([-*+•‣◦·–—]|\(?\w{1,3}[.)])\s")
_SPEAKER = re.compile(r"[^\s:][^:]{0,30}: ")
_ROW = re.compile(r"\s*\|| \| |\S\t|\S {3,}\S|(,(?![\s\d])[^,]*){2}|(;(?!\s)[^;]*){2}")
_CODE = re.compile(r"[;{}\[\]=<>\\]\s*$")
_INDENTED = re.compile(r"\t| {2,}\S")


class _Piece(NamedTuple):
    """A range of characters, and its number of words."""

    start: int
    end: int
    words: int


def sentence_units(text: str, language: str | None = None) -> NDArray[np.int64]:
    """Return the sentence units of a text, as half-open ranges of its characters.

    Each visible character is in one unit. No unit crosses a Markdown heading, the end of a page or
    a blank line.

    Args:
        text: Any text.
        language: One of `longembed_index.lexical.analyzer.LANGUAGES`; None to guess it.

    Returns:
        The ranges in the order of the text, shape (units, 2). They do not overlap, and have no
        spaces at their ends.
    """
    code = _LANGUAGE_CODES.get(language or guess_language([text]), "en")
    units: list[tuple[int, int]] = []
    for lines in _blocks(text):
        sentences = [
            part
            for paragraph in _paragraphs(text, lines)
            for sentence in _sentences(text, *paragraph, code)
            for part in _cut(text, sentence)
        ]
        units += [(unit.start, unit.end) for unit in _joined(sentences)]
    return np.array(units, dtype=np.int64).reshape(-1, 2)


def words_in(text: str) -> int:
    """Return the number of words of a text, by which units are measured.

    In scripts without spaces between words, two characters count as a word.
    """
    parts = text.split()
    words = len(parts)
    if max(map(len, parts), default=0) >= _LONG_WORD:
        words += sum(len(part) // _LONG_WORD for part in parts)
    if text.isascii():
        return words
    return words + len(_UNSPACED.findall(text)) // 2


def word_counts(text: str, ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of words in ranges of a text, as `words_in` counts them, shape (ranges,).

    Args:
        text: The text.
        ranges: Half-open ranges of its characters, shape (ranges, 2).
    """
    if text.isascii():
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    # With a space before and after the text, words begin and end where spaces change.
    in_word = np.zeros(len(codes) + 2, dtype=bool)
    in_word[1:-1] = _IN_WORD.take(codes, mode="clip")
    words = np.flatnonzero(in_word[1:] != in_word[:-1]).reshape(-1, 2)
    counts = np.where(ranges[:, 0] < ranges[:, 1], _overlapping(words, ranges), 0)
    long_words = words[words[:, 1] - words[:, 0] >= _LONG_WORD]
    is_special = _overlapping(long_words, ranges) > 0
    if not text.isascii():
        unspaced = [match.span() for match in _UNSPACED.finditer(text)]
        is_special |= _overlapping(np.array(unspaced, dtype=np.int64).reshape(-1, 2), ranges) > 0
    for row in np.flatnonzero(is_special).tolist():
        counts[row] = words_in(text[ranges[row, 0] : ranges[row, 1]])
    return counts


def _overlapping(pieces: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many pieces of a text, given in order, overlap each of some ranges."""
    begins = np.searchsorted(pieces[:, 0], ranges[:, 1])
    return begins - np.searchsorted(pieces[:, 1], ranges[:, 0], side="right")


def _piece(text: str, start: int, end: int) -> _Piece:
    """Return a range without the spaces at its ends."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    return _Piece(start, max(start, end - len(part) + len(part.rstrip())), words_in(part))


def _blocks(text: str) -> Iterator[list[_Piece]]:
    """Yield the lines between two headings, ends of pages or blank lines."""
    block: list[_Piece] = []
    start, in_code = 0, False
    for line in text.splitlines(keepends=True):
        piece = _piece(text, start, start + len(line))
        start += len(line)
        if FENCE.match(line):
            in_code = not in_code
        is_heading = not in_code and HEADING.match(line) is not None
        if block and (is_heading or piece.start == piece.end):
            yield block
            block = []
        if piece.start < piece.end:
            block.append(piece)
        if block and (is_heading or line.endswith(PAGE_END)):
            yield block
            block = []
    if block:
        yield block


def _paragraphs(text: str, lines: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
    """Yield the paragraphs of a block; each has one line or several lines of running text."""
    start = lines[0].start
    lengths = [line.end - line.start for line in lines]
    for place, (line, following) in enumerate(pairwise(lines)):
        # A line that is about as long as its neighbours may have been wrapped.
        is_full = lengths[place] >= 0.75 * max(lengths[max(place - 3, 0) : place + 4])
        if not _goes_on(text, line, following, is_full):
            yield start, line.end
            start = following.start
    yield start, lines[-1].end


def _goes_on(text: str, line: _Piece, following: _Piece, is_full: bool) -> bool:
    """Return whether a sentence goes on from a line to the next one."""
    first, second = text[line.start : line.end], text[following.start : following.end]
    # The next line with its indentation, which shows whether it is code.
    indented = text[line.end : following.end].lstrip("\r\n")
    if (
        _CODE.search(first)
        or _ROW.search(first)
        or _ROW.search(second)
        or _INDENTED.match(indented)
        or _ITEM.match(second)
    ):
        return False
    if second[0].islower():
        return line.words >= 4
    is_wrapped = is_full and 6 <= line.words <= 30
    return is_wrapped and not (_END_OF_LINE.search(first) or _SPEAKER.match(second))


def _sentences(text: str, start: int, end: int, code: str) -> Iterator[_Piece]:
    """Yield the sentences of a paragraph."""
    boundaries = _unspaced_ends if _is_unspaced(text[start:end]) else _ends
    for sentence_end in boundaries(text, start, end, code):
        piece = _piece(text, start, sentence_end)
        if piece.start < piece.end:
            yield piece
        start = sentence_end


def _is_unspaced(part: str) -> bool:
    return not part.isascii() and 3 * len(_UNSPACED.findall(part)) > len(part)


def _ends(text: str, start: int, end: int, code: str) -> Iterator[int]:
    """Yield the ends of the sentences of a paragraph."""
    while start < end:
        stop = min(start + _SPLITTER_CHARACTERS, end)
        # The splitter takes no halves of characters.
        part = _SURROGATE.sub("\ufffd", text[start:stop])
        ends = [b["end_index"] for b in sentencex.get_sentence_boundaries(code, part)]
        if stop < end and len(ends) > 1:
            # The last sentence may go on in the next part.
            ends.pop()
        elif not ends or ends[-1] < len(part):
            ends.append(len(part))
        yield from (start + place for place in ends)
        start += ends[-1]


def _unspaced_ends(text: str, start: int, end: int, code: str) -> Iterator[int]:
    """Yield the ends of sentences in a script without spaces between words."""
    ends = _END_OR_SPACES if _CLAUSES.search(text, start, end) else _END
    for match in ends.finditer(text, start, end):
        yield match.end()
    yield end


def _cut(text: str, sentence: _Piece) -> Iterator[_Piece]:
    """Yield a sentence; if it is too long, yield parts of about the same length."""
    start, end, words = sentence
    parts = -(-words // MOST_WORDS)
    step = (end - start) // max(parts, 1)
    for _ in range(parts - 1):
        if end - start <= step:
            break
        stop = _place_to_cut(text, start + step * 3 // 4, min(start + step * 5 // 4, end))
        piece = _piece(text, start, stop)
        if piece.start < piece.end:
            yield piece
        start = stop
    if start < end:
        yield _piece(text, start, end)


def _place_to_cut(text: str, low: int, high: int) -> int:
    """Return the end of a clause, or else of a word, that is nearest to the middle of a range."""
    middle = (low + high) // 2
    for boundary in (_END_OF_CLAUSE, _SPACES):
        places = [match.end() for match in boundary.finditer(text, low, high)]
        if places:
            return min(places, key=lambda place: abs(place - middle))
    # Combining marks stay with their character.
    while middle < high - 1 and unicodedata.category(text[middle])[0] == "M":
        middle += 1
    return max(middle, low + 1)


def _joined(sentences: Sequence[_Piece]) -> list[_Piece]:
    """Join short sentences with the next one, and a short last one with the one before it."""
    units: list[_Piece] = []
    for sentence in sentences:
        if units and units[-1].words < LEAST_WORDS and _fit(units[-1], sentence):
            units[-1] = _together(units[-1], sentence)
        else:
            units.append(sentence)
    if len(units) > 1 and units[-1].words < LEAST_WORDS // 2 and _fit(units[-2], units[-1]):
        units[-2:] = [_together(*units[-2:])]
    return units


def _fit(first: _Piece, second: _Piece) -> bool:
    return first.words + second.words <= MOST_WORDS


def _together(first: _Piece, second: _Piece) -> _Piece:
    return _Piece(first.start, second.end, first.words + second.words)
