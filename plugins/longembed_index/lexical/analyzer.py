"""From a text to the terms by which it is found: split, folded, stemmed, without stop words.

In scripts that do not separate words by spaces, each pair of neighbouring characters is a term.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longembed_st.extras import needs_extra

NO_LANGUAGE = "none"
"""Words as they are: for code, mixed texts, and languages without a stemmer."""

_STOP_WORDS = {
    "danish": "STOPWORDS_DANISH",
    "dutch": "STOPWORDS_DUTCH",
    "english": "STOPWORDS_EN",
    "french": "STOPWORDS_FRENCH",
    "german": "STOPWORDS_GERMAN",
    "italian": "STOPWORDS_ITALIAN",
    "norwegian": "STOPWORDS_NORWEGIAN",
    "portuguese": "STOPWORDS_PORTUGUESE",
    "russian": "STOPWORDS_RUSSIAN",
    "spanish": "STOPWORDS_SPANISH",
    "swedish": "STOPWORDS_SWEDISH",
    "turkish": "STOPWORDS_TURKISH",
}
LANGUAGES = (*_STOP_WORDS, NO_LANGUAGE)
"""The languages with a stemmer and stop words, and "none"."""

_WORD = r"[\p{L}\p{N}\p{M}]+"
_CHARACTER_WITHOUT_SPACES = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}][\p{M}ー]*"
)
_CACHED_WORDS = 500_000
_PAIRS = " "
"""In the cache, stands for a word that is split into pairs of characters."""
_GUESS_CHARACTERS = 20_000
_MIN_STOP_WORD_SHARE, _MIN_STOP_WORDS = 0.1, 4


@dataclass(frozen=True)
class Tokens:
    """The terms of a text.

    Attributes:
        terms: In the order of the text, without stop words.
        starts: The first character of each term in the text, shape (terms,).
    """

    terms: list[str]
    starts: NDArray[np.int32]


class Analyzer:
    """Splits texts of one language into terms.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._word, self._character = _patterns()
        self._stop_words, self._stem = _language_tools(language)
        self._term_of_word: dict[str, str] = {}

    def tokens(self, text: str) -> Tokens:
        """Return the terms of a text, and where they stand.

        Args:
            text: Any text; nothing in it is an operator.
        """
        cached = self._term_of_word
        terms: list[str] = []
        starts: list[int] = []
        for match in self._word.finditer(text):
            word = match.group()
            term = cached.get(word)
            if term is None:
                term = self._term(word)
            if term == _PAIRS:
                self._add_pairs(word, match.start(), terms, starts)
            elif term:
                terms.append(term)
                starts.append(match.start())
        return Tokens(terms, np.array(starts, dtype=np.int32))

    def _term(self, word: str) -> str:
        """Return the term of a word; empty for a stop word, `_PAIRS` if it is to be split."""
        if not word.isascii() and self._character.search(word):
            term = _PAIRS
        else:
            folded = unicodedata.normalize("NFKC", word).casefold()
            term = "" if folded in self._stop_words else self._stem(folded)
        # Numbers and misspelt words would fill the cache without end.
        if len(self._term_of_word) < _CACHED_WORDS:
            self._term_of_word[word] = term
        return term

    def _add_pairs(self, word: str, start: int, terms: list[str], starts: list[int]) -> None:
        """Split a word that has characters of a script without spaces, perhaps among others."""
        end = 0
        characters: list[tuple[str, int]] = []

        def flush() -> None:
            pairs = [(a + b, place) for (a, place), (b, _) in itertools.pairwise(characters)]
            for term, place in pairs or characters:
                terms.append(unicodedata.normalize("NFKC", term).casefold())
                starts.append(start + place)
            characters.clear()

        def add_word(first: int, last: int) -> None:
            term = self._term(word[first:last]) if first < last else ""
            if term:
                terms.append(term)
                starts.append(start + first)

        for match in self._character.finditer(word):
            if match.start() > end:
                flush()
                add_word(end, match.start())
            characters.append((match.group(), match.start()))
            end = match.end()
        flush()
        add_word(end, len(word))


@cache
def get_analyzer(language: str) -> Analyzer:
    """Return the analyzer of a language that this process shares; it caches the terms of words.

    Args:
        language: One of `LANGUAGES`.
    """
    return Analyzer(language)


def guess_language(texts: Iterable[str]) -> str:
    """Return the language whose stop words are most frequent in some texts.

    Args:
        texts: Some documents; only their beginnings are read.

    Returns:
        One of `LANGUAGES`; "none" if no language has four of its stop words there, which are a
        tenth of all words.
    """
    counts: Counter[str] = Counter()
    word, _ = _patterns()
    for text in texts:
        counts.update(match.casefold() for match in word.findall(text[:_GUESS_CHARACTERS]))
    total = counts.total()
    shares: dict[str, float] = {}
    for language in _STOP_WORDS:
        stop_words = counts.keys() & _language_tools(language)[0]
        # Program code has one or two stop words of some language by chance, and has them often.
        if len(stop_words) >= _MIN_STOP_WORDS:
            shares[language] = sum(counts[stop_word] for stop_word in stop_words) / total
    best = max(shares, key=lambda language: shares[language], default=NO_LANGUAGE)
    return best if shares.get(best, 0) >= _MIN_STOP_WORD_SHARE else NO_LANGUAGE


@cache
def _patterns() -> tuple[Any, Any]:
    with needs_extra("index", "regex"):
        import regex  # type: ignore[import-untyped]
    return regex.compile(_WORD), regex.compile(_CHARACTER_WITHOUT_SPACES)


@cache
def _language_tools(language: str) -> tuple[frozenset[str], Any]:
    """Return the stop words of a language and its stemmer."""
    if language == NO_LANGUAGE:
        return frozenset(), str
    with needs_extra("index", "bm25s", "Stemmer"):
        import Stemmer  # type: ignore[import-not-found]
        from bm25s import stopwords  # type: ignore[import-untyped]
    words = frozenset(str(word).casefold() for word in getattr(stopwords, _STOP_WORDS[language]))
    return words, Stemmer.Stemmer(language).stemWord
