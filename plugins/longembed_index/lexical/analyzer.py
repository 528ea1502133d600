"""From a text to its terms: words that are folded and stemmed, so that a query meets a text.

In scripts that do not separate words by spaces, and in Korean, whose nouns carry particles, each
pair of neighbouring characters is a term.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longembed_index.lexical.scores import TermPlaces
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

_LETTERS = r"[\p{L}\p{N}\p{M}]+"
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts that do not separate words by spaces; a new line in a word means nothing there."""
_LINE_END = r"[ \t]*\r?\n[ \t>]*"
_NOT_JOINED = "(?!(?:und|oder|and|or|og|och|of)(?![a-z]))"
_HYPHEN = rf"(?<=\p{{L}})[-\u2010\xad]{_LINE_END}(?=\p{{Ll}}){_NOT_JOINED}"
"""A hyphen at the end of a line; "Haupt-" before "und Nebenstraßen" is a word of its own."""
_INVISIBLE = r"\p{Default_Ignorable_Code_Point}"
"""Soft hyphens, joiners, zero-width spaces, marks of direction."""
_WORD = (
    rf"{_LETTERS}(?:(?:{_INVISIBLE}+|{_HYPHEN}|(?<=[{_UNSPACED}]){_LINE_END}(?=[{_UNSPACED}]))"
    rf"{_LETTERS})*"
)
_UNCOMMON = "[^\\0-\xff\u2010-\u2029\u2030-\u205e]"
_COMMON_WORD = (
    rf"([^\W_]+(?:(?:\xad+|(?<=[a-zA-Zªµºß-öø-ÿÀ-ÖØ-Þ])[-\u2010\xad]{_LINE_END}"
    rf"(?=[a-zµß-öø-ÿ]){_NOT_JOINED})[^\W_]+)*)"
)
"""The same for texts of these characters alone, which have no marks, as most have."""
_PART_END = rf"\u200c|[-\u2010\xad]{_LINE_END}"
_CHARACTER = rf"[{_UNSPACED}\p{{Hangul}}][\p{{M}}ー]*"
_UNPOINTED = r"[\p{Latin}\p{Greek}\p{Cyrillic}\p{Hebrew}\p{Arabic}\p{N}]"
"""Scripts that are read without the marks on their letters."""
_TARGET = (
    r"\]\(\s{0,9}(?:<[^<>\n]{0,2000}>|(?:[^\s()<>]|\([^\s()<>]{0,200}\)){1,2000})"
    r'(?:\s{1,9}"[^"\n]{0,500}")?\s{0,9}\)'
)
"""The target of a link in Markdown, which stands between the words that a reader sees."""

_SAME_LETTERS = str.maketrans(
    {
        **{"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"},
        **{"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ـ": ""},
    }
)
"""Letters that Unicode does not decompose, but that keyboards and habits exchange."""
STOP, LAST_CHARACTER = "_", "~"
"""How terms begin that phrases need, and that do not score: stop words, and the last character of
several in a row. `STOP` alone separates terms that do not stand in a row."""
_CACHED_WORDS, _CACHED_LENGTH = 250_000, 64
"""The most words whose terms are kept, and the longest: about 60 MB."""
_COMPOSITE = " "
"""In the cache, stands for a word that is not one term."""
_GUESS_CHARACTERS = 20_000
_MIN_STOP_WORD_SHARE, _MIN_STOP_WORDS = 0.1, 4


@dataclass(frozen=True)
class Tokens:
    """The terms of a text.

    Attributes:
        terms: First those that a reader sees in a row, stop words included. Then those beside:
            targets of links, and parts of words that are in the row as a whole.
        starts: The first character of each term in the text, shape (terms,).
        row: How many terms are in the row.
    """

    terms: list[str]
    starts: NDArray[np.int32]
    row: int

    def places(self, columns: Mapping[str, int]) -> TermPlaces:
        """Return where the terms of a query stand.

        Args:
            columns: The index of each term in the weights of the query.
        """
        terms = np.array([columns.get(term, -1) for term in self.terms], dtype=np.int64)
        known = np.flatnonzero(terms >= 0)
        known = known[np.argsort(self.starts[known], kind="stable")]
        return TermPlaces(
            terms[known], self.starts[known].astype(np.int64), self.starts[: self.row]
        )

    def scoring(self) -> list[str]:
        """Return the terms of a query that documents are scored by."""
        return [term for term in self.terms if term[0] not in (STOP, LAST_CHARACTER)]


def count_terms(texts: Sequence[Tokens], columns: Mapping[str, int]) -> NDArray[np.int64]:
    """Return how often each of some terms is in some texts, shape (texts, terms)."""
    counts = np.zeros((len(texts), len(columns)), dtype=np.int64)
    for row, tokens in zip(counts, texts, strict=True):
        np.add.at(row, tokens.places(columns).terms, 1)
    return counts


class _Patterns(NamedTuple):
    uncommon: Any
    common_word: Any
    word: Any
    composite: Any
    part_end: Any
    invisible: Any
    character: Any
    run: Any
    unpointed: Any
    mark: Any
    digit: Any
    target: Any
    inner_hyphen: Any


class Analyzer:
    """Splits texts of one language into terms.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._patterns = _patterns()
        self._stop_words, self._stem = _language_tools(language)
        self._term_of_word: dict[str, str] = {}

    def tokens(self, text: str) -> Tokens:
        """Return the terms of a text, and where they stand."""
        patterns = self._patterns
        word = patterns.word if patterns.uncommon.search(text) else patterns.common_word
        # Words and what is between them take turns.
        pieces = word.split(text)
        lengths = np.fromiter(map(len, pieces), dtype=np.int32, count=len(pieces))
        words, starts = pieces[1::2], np.cumsum(lengths, dtype=np.int32)[:-1:2]
        terms = self._terms_of(words)
        if not (_COMPOSITE in terms or "" in terms or "](" in text):
            return Tokens(terms, starts, len(terms))
        beside: list[tuple[str, int]] = []
        row: list[tuple[str, int]] = []
        for each, term, start in zip(words, terms, starts.tolist(), strict=True):
            if term == _COMPOSITE:
                row += self._composite(each, start, beside)
            elif term:
                row.append((term, start))
        row = self._without_targets(text, row, beside)
        every = row + beside
        starts = np.array([start for _, start in every], dtype=np.int32)
        return Tokens([term for term, _ in every], starts, len(row))

    def phrases(self, text: str) -> list[list[str]]:
        """Return the rows of terms that a phrase may be in documents; none if it has no words.

        A hyphen in it may be one at which a document breaks a word.
        """
        rows = []
        for each in dict.fromkeys((text, self._patterns.inner_hyphen.sub("", text))):
            tokens = self.tokens(each)
            row = tokens.terms[: tokens.row]
            if len(row) > 1 and row[-1].startswith(LAST_CHARACTER):
                row.pop()
            if row:
                rows.append(row)
        return rows

    def is_character(self, term: str) -> bool:
        """Return whether a term is one character of those that are paired in texts."""
        return self._patterns.character.fullmatch(term) is not None

    def _terms_of(self, words: list[str]) -> list[str]:
        """Return the term of each word: empty if it has none, `_COMPOSITE` if it has several."""
        if len(self._term_of_word) > _CACHED_WORDS:
            # Numbers and misspelt words would fill it without end; other threads keep the old one.
            self._term_of_word = {}
        known = self._term_of_word
        long: dict[str, str] = {}
        for word in set(words).difference(known):
            is_composite = self._patterns.composite.search(word)
            term = _COMPOSITE if is_composite else self._term(self._folded(word))
            (known if len(word) <= _CACHED_LENGTH else long)[word] = term
        if long:
            return [long[word] if word in long else known[word] for word in words]
        return list(map(known.__getitem__, words))

    def _composite(
        self, word: str, start: int, beside: list[tuple[str, int]]
    ) -> Iterator[tuple[str, int]]:
        """Yield the terms of a word in the row, and add those beside."""
        patterns = self._patterns
        whole = self._folded(patterns.part_end.sub("", word))
        if patterns.character.search(whole):
            # Folding changes the length of few words: their places are nearly right then.
            scale = len(word) / max(len(whole), 1)
            for term, place in self._pairs(whole):
                yield term, start + int(place * scale)
            return
        term = self._term(whole)
        if term:
            yield term, start
        beside.append((STOP, start))
        for part in patterns.part_end.splititer(word):
            term = self._term(self._folded(part))
            if term:
                beside.append((term, start))

    def _pairs(self, folded: str) -> Iterator[tuple[str, int]]:
        """Yield the terms of a word that has characters to be paired, perhaps among others."""
        for match in self._patterns.run.finditer(folded):
            run, first = match.group(), match.start()
            characters = [
                (character.group(), first + character.start())
                for character in self._patterns.character.finditer(run)
            ]
            if not characters:
                yield self._term(run), first
            elif len(characters) == 1:
                yield characters[0]
            else:
                for (left, place), (right, _) in itertools.pairwise(characters):
                    yield left + right, place
                last, place = characters[-1]
                yield LAST_CHARACTER + last, place

    def _folded(self, word: str) -> str:
        """Return a word without its case, its points, and what cannot be seen."""
        if self.language == "turkish":
            word = word.replace("İ", "i").replace("I", "ı")
        if word.isascii():
            return word.lower()
        patterns = self._patterns
        word = patterns.invisible.sub("", word)
        # As Unicode defines NFKC_Casefold.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
        folded = "".join(folded.split())
        if patterns.unpointed.search(folded):
            folded = patterns.mark.sub("", folded)
        return patterns.digit.sub(lambda digit: str(unicodedata.decimal(digit.group())), folded)

    def _term(self, folded: str) -> str:
        """Return the term of a folded word; empty if nothing is left of it."""
        if folded in self._stop_words:
            return STOP + folded
        term = str(self._stem(folded))
        if not term.isascii() and self._patterns.unpointed.search(term):
            # After the stemmer, which knows the language's accents.
            term = self._patterns.mark.sub("", unicodedata.normalize("NFD", term))
            term = term.translate(_SAME_LETTERS)
        return term

    def _without_targets(
        self, text: str, row: list[tuple[str, int]], beside: list[tuple[str, int]]
    ) -> list[tuple[str, int]]:
        """Return a row without the targets of links, whose terms are added to those beside."""
        kept: list[tuple[str, int]] = []
        end = 0
        for match in self._patterns.target.finditer(text):
            first, last = (
                bisect_left(row, place, lo=end, key=itemgetter(1)) for place in match.span()
            )
            kept += row[end:first]
            beside += [(STOP, match.start()), *row[first:last]]
            end = last
        return kept + row[end:]


@cache
def get_analyzer(language: str) -> Analyzer:
    """Return the analyzer of a language that this process shares; it caches the terms of words."""
    return Analyzer(language)


def guess_language(texts: Iterable[str]) -> str:
    """Return the language whose stop words are most frequent in some texts.

    Returns:
        One of `LANGUAGES`; "none" if no language has four of its stop words there, which are a
        tenth of all words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        words = _patterns().word.findall(text[:_GUESS_CHARACTERS])
        counts.update(word.casefold() for word in words)
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
def _patterns() -> _Patterns:
    with needs_extra("index", "regex"):
        import regex  # type: ignore[import-untyped]
    sources = _Patterns(
        uncommon=_UNCOMMON,
        common_word=_COMMON_WORD,
        word=f"({_WORD})",
        composite=f"{_PART_END}|{_CHARACTER}",
        part_end=_PART_END,
        invisible=_INVISIBLE,
        character=_CHARACTER,
        run=rf"(?:{_CHARACTER})+|(?:(?!{_CHARACTER}).)+",
        unpointed=_UNPOINTED,
        mark=r"\p{M}",
        digit=r"(?![0-9])\p{Nd}",
        target=_TARGET,
        inner_hyphen=r"(?<=\p{L})[-\u2010](?=\p{L})",
    )
    # The standard library's are quicker for what they can say.
    modules = [re, re, *[regex] * (len(sources) - 2)]
    return _Patterns(
        *(module.compile(source) for module, source in zip(modules, sources, strict=True))
    )


@cache
def _language_tools(language: str) -> tuple[frozenset[str], Any]:
    """Return the stop words of a language and its stemmer."""
    if language == NO_LANGUAGE:
        return frozenset(), str
    with needs_extra("index", "bm25s", "Stemmer"):
        import Stemmer  # type: ignore[import-not-found]

        stopwords = _import_alone("bm25s", "stopwords")
    words = frozenset(str(word).casefold() for word in getattr(stopwords, _STOP_WORDS[language]))
    return words, Stemmer.Stemmer(language).stemWord


def _import_alone(package: str, name: str) -> Any:
    """Import a module of a package without the package, which imports libraries for its rest."""
    whole = find_spec(package)
    if whole is None or whole.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    file = Path(whole.origin).with_name(f"{name}.py")
    spec = spec_from_file_location(f"{package}.{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
