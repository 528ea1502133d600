"""What a person asks: a text, and phrases whose words must stand in a document in a row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from unicodedata import east_asian_width

from longembed_st.base.texts import has_text
from longembed_st.errors import ConfigError

MAX_CHARACTERS = 20_000
"""The longest query, of every search: a few pages. Its words and its vector take about a second."""

MAX_PHRASES = 32
"""The most phrases in a query: each is looked for in the words of all documents."""

_LONG_QUERY = 100
"""Latin characters. In a longer query, words in quotes are a quotation rather than a condition."""

_LEAST_SHARE = 1 / 2
"""The share of a long query that must be in quotes for its phrases to be required. Prose about a
dialogue has up to two fifths."""

_CLOSING = {
    marks[0]: re.compile(f"[{marks[1:]}]")
    for marks in ('""', "“”", "„“”", "””", "«»", "»«", "「」")
}
"""The quotation marks that end a phrase, by those that begin it."""
_OPENING = re.compile(rf'[{"".join(_CLOSING)}](?<!\d["”])')
"""Behind a digit, two of them are inches or seconds: the 5" pipe."""


@dataclass(frozen=True)
class Question:
    """A query, taken apart.

    Attributes:
        text: The query without the quotes around its phrases.
        phrases: What must stand in a document, word by word.
    """

    text: str
    phrases: tuple[str, ...] = ()


def parse_question(query: str) -> Question:
    """Take the phrases out of a query; they stand in double quotes.

    In a long query that has more words outside of quotes ("Highlight the parts of this contract
    that are related to ...") nothing is required: the quotes are a part of its prose.

    Args:
        query: Any text; a quote that is not closed means nothing.

    Raises:
        ConfigError: If it is not a string, is too long, or has too many phrases.
    """
    if not isinstance(query, str):
        raise ConfigError(f"the query must be a string, not {query!r:.80}")
    if len(query) > MAX_CHARACTERS:
        raise ConfigError(
            f"the query has {len(query):,} characters; at most {MAX_CHARACTERS:,} can be searched "
            "for. Shorten it"
        )
    phrases: list[str] = []
    parts: list[str] = []
    unclosed: set[str] = set()
    end = 0
    while (opening := _OPENING.search(query, end)) is not None:
        mark, start = opening.group(), opening.end()
        # A mark that is never closed is looked for once: many of them must not take square time.
        closing = None if mark in unclosed else _CLOSING[mark].search(query, start)
        if closing is None:
            unclosed.add(mark)
            parts.append(query[end:start])
            end = start
        else:
            phrase = query[start : closing.start()]
            parts += [query[end : opening.start()], phrase]
            phrases.append(" ".join(phrase.split()))
            end = closing.end()
    text = "".join([*parts, query[end:]])
    length = _latin_length(text)
    if length > _LONG_QUERY and sum(map(_latin_length, phrases)) < _LEAST_SHARE * length:
        return Question(text)
    distinct = tuple(filter(None, dict.fromkeys(phrases)))
    if len(distinct) > MAX_PHRASES:
        raise ConfigError(
            f"the query has {len(distinct):,} phrases in quotes; at most {MAX_PHRASES} can be "
            "looked for. Leave quotes out"
        )
    return Question(text, distinct)


def _latin_length(text: str) -> int:
    """Return the length in Latin characters; a Chinese character says as much as three."""
    return sum(3 if east_asian_width(character) in "WF" else 1 for character in text)


def check_query(query: str) -> None:
    """Raise `ConfigError` for a blank query: it would rank noise."""
    if not has_text(query):
        raise ConfigError("the query is blank: nothing in it can be seen")
