"""From a text to the terms by which it is found: cut, folded, stemmed, without stop words.

In scripts that do not part words by spaces, each pair of neighbouring characters is a term.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
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
"""Those that there are a stemmer and stop words for."""

_WORD = r"[\p{L}\p{N}\p{M}]+"
_WITHOUT_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}][\p{M}ー]*"
_GUESSED_FROM = 20_000
_LEAST_SHARE, _LEAST_WORDS = 0.1, 4
_CACHED = 500_000
_PAIRS = " "


@dataclass(frozen=True)
class Terms:
    """The terms of a text.

    Attributes:
        terms: In order; without stop words.
        starts: The first character of each in the text, shape (terms,).
    """

    terms: list[str]
    starts: NDArray[np.int32]


class Words:
    """Cuts texts of one language into terms.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._patterns = _patterns()
        self._stop, self._stem = _tools(language)
        self._known: dict[str, str] = {}

    def of(self, text: str) -> Terms:
        """The terms of a text, and where they stand.

        Args:
            text: Any; nothing in it is an operator.
        """
        known = self._known
        terms: list[str] = []
        starts: list[int] = []
        for match in self._patterns[0].finditer(text):
            found = match.group()
            term = known.get(found)
            if term is None:
                term = self._term(found)
            if term == _PAIRS:
                self._add_pairs(found, match.start(), terms, starts)
            elif term:
                terms.append(term)
                starts.append(match.start())
        return Terms(terms, np.array(starts, dtype=np.int32))

    def _term(self, word: str) -> str:
        """Empty for a stop word, `_PAIRS` for what has characters of a script without spaces."""
        if not word.isascii() and self._patterns[1].search(word):
            term = _PAIRS
        else:
            folded = unicodedata.normalize("NFKC", word).casefold()
            term = "" if folded in self._stop else self._stem(folded)
        # Numbers and typing errors would fill it without end.
        if len(self._known) < _CACHED:
            self._known[word] = term
        return term

    def _add_pairs(self, run: str, start: int, terms: list[str], starts: list[int]) -> None:
        """Cut a run of characters in which some are of a script without spaces."""
        spaceless = self._patterns[1]
        end = 0
        signs: list[tuple[str, int]] = []

        def flush() -> None:
            pairs = itertools.pairwise(signs)
            found = [(a + b, place) for (a, place), (b, _) in pairs] or signs
            for sign, place in found:
                terms.append(unicodedata.normalize("NFKC", sign).casefold())
                starts.append(start + place)
            signs.clear()

        for match in spaceless.finditer(run):
            if match.start() > end:
                flush()
                self._add_word(run[end : match.start()], start + end, terms, starts)
            signs.append((match.group(), match.start()))
            end = match.end()
        flush()
        self._add_word(run[end:], start + end, terms, starts)

    def _add_word(self, word: str, start: int, terms: list[str], starts: list[int]) -> None:
        term = self._term(word) if word else ""
        if term:
            terms.append(term)
            starts.append(start)


@cache
def words_of(language: str) -> Words:
    """The one that cuts texts of a language; it remembers the words that it has seen.

    Args:
        language: One of `LANGUAGES`.
    """
    return Words(language)


def guess_language(texts: Iterable[str]) -> str:
    """The language whose stop words are most frequent in some texts.

    Args:
        texts: Some documents; their beginnings are looked at.

    Returns:
        One of `LANGUAGES`; "none" if of none there are four stop words, a tenth of all words.
    """
    counts: Counter[str] = Counter()
    word, _ = _patterns()
    for text in texts:
        counts.update(found.casefold() for found in word.findall(text[:_GUESSED_FROM]))
    total = counts.total()
    # Program texts have one or two of some language by chance, and have these often.
    there = {name: counts.keys() & _tools(name)[0] for name in _STOP_WORDS}
    shares = {
        name: sum(counts[word] for word in found) / total
        for name, found in there.items()
        if len(found) >= _LEAST_WORDS
    }
    best = max(shares, key=lambda name: shares[name], default=NO_LANGUAGE)
    return best if shares.get(best, 0) >= _LEAST_SHARE else NO_LANGUAGE


@lru_cache(maxsize=1)
def _patterns() -> tuple[Any, Any]:
    with needs_extra("index", "regex"):
        import regex  # type: ignore[import-untyped]
    return regex.compile(_WORD), regex.compile(_WITHOUT_SPACES)


@cache
def _tools(language: str) -> tuple[frozenset[str], Any]:
    """The stop words of a language, and its stemmer."""
    if language == NO_LANGUAGE:
        return frozenset(), str
    with needs_extra("index", "bm25s", "Stemmer"):
        import Stemmer  # type: ignore[import-not-found]
        from bm25s import stopwords  # type: ignore[import-untyped]
    words = frozenset(str(word).casefold() for word in getattr(stopwords, _STOP_WORDS[language]))
    return words, Stemmer.Stemmer(language).stemWord
