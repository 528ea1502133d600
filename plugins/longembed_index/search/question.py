"""What a person asks: a text, and phrases that must stand in a document word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass

from longembed_st.base.texts import has_text
from longembed_st.errors import ConfigError

_PHRASE = re.compile(r'"([^"]*)"|“([^”]*)”')


@dataclass(frozen=True)
class Question:
    """A query, taken apart.

    Attributes:
        text: The query without the quotes around its phrases.
        phrases: What must stand in a document, whatever its case and spacing.
    """

    text: str
    phrases: tuple[str, ...] = ()

    def phrases_stand_in(self, text: str) -> bool:
        """Return whether a text has all of the phrases."""
        if not self.phrases:
            return True
        normalized = _normalized(text)
        return all(_normalized(phrase) in normalized for phrase in self.phrases)


def parse_question(query: str) -> Question:
    """Take the phrases out of a query; they stand in double quotes.

    Args:
        query: Any text; a quote that is not closed means nothing.
    """
    phrases = [" ".join((a or b).split()) for a, b in _PHRASE.findall(query)]
    text = _PHRASE.sub(lambda match: match[1] or match[2] or "", query)
    return Question(text, tuple(phrase for phrase in phrases if phrase))


def check_query(query: str) -> None:
    """Raise `ConfigError` for a blank query: it would rank noise."""
    if not has_text(query):
        raise ConfigError("the query is blank: nothing in it can be seen")


def _normalized(text: str) -> str:
    return " ".join(text.casefold().split())
