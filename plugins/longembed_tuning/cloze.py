"""Pairs from documents without labels: a passage and its surroundings (inverse cloze).

Lee et al. 2019, arXiv 1906.00300: a passage taken out of a text is a query that the rest of the
text should answer.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from transformers import PreTrainedTokenizerBase

from longembed_st.positions.method import Context
from longembed_tuning.sources import Document, Example

PASSAGE = 80
"""Characters that a passage has at least, and its surroundings too."""

LONGEST_SENTENCE = 400
"""Characters. A longer one is a table or code, and is cut."""

PASSAGES_PER_SECTION = 3
"""Queries for each document that is held out."""

SHORTEST_REPEAT = 40
"""Characters. Headings and short phrases may stand in many documents."""

_BOUNDARY = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n\s*\n")


@dataclass(frozen=True)
class Sentences:
    """A text in sentences.

    Attributes:
        texts: The sentences.
        tokens: Tokens of each, special tokens not counted.
    """

    texts: list[str]
    tokens: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def part(self, start: int, end: int) -> Sentences:
        """Return the sentences from `start` to before `end`."""
        return Sentences(self.texts[start:end], self.tokens[start:end])


def split_sentences(text: str) -> list[str]:
    """Cut a text behind its sentences and paragraphs, and within sentences that never end."""
    pieces = (piece.strip() for piece in _BOUNDARY.split(text))
    return [
        line for piece in pieces if piece for line in textwrap.wrap(piece, width=LONGEST_SENTENCE)
    ]


def tokenize_sentences(text: str, tokenizer: PreTrainedTokenizerBase) -> Sentences:
    """Cut a text into sentences and count their tokens."""
    texts = split_sentences(text)
    if not texts:
        return Sentences([], [])
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return Sentences(texts, list(map(len, ids)))


def without_repeats(sentences: Sentences, seen: set[str]) -> Sentences:
    """Leave out sentences that earlier documents have word for word: licences, headers, footers.

    In a batch, such passages would be wrong answers to each other's questions.

    Args:
        sentences: A document.
        seen: Sentences of earlier documents, as `repeat_keys` gives them; this one's are added.
    """
    keys = [_repeat_key(text) for text in sentences.texts]
    kept = [i for i, key in enumerate(keys) if key is None or key not in seen]
    seen.update(key for key in keys if key is not None)
    return Sentences([sentences.texts[i] for i in kept], [sentences.tokens[i] for i in kept])


def repeat_keys(text: str) -> set[str]:
    """Return the sentences of a text by which repetitions are recognised."""
    keys = map(_repeat_key, split_sentences(text))
    return {key for key in keys if key is not None}


def _repeat_key(sentence: str) -> str | None:
    key = " ".join(sentence.lower().split())
    return key if len(key) >= SHORTEST_REPEAT else None


def sections(sentences: Sentences, budget: int) -> list[Sentences]:
    """Cut a document into sections of whole sentences, of at most `budget` tokens.

    A sentence beyond the budget stands alone.
    """
    parts, start, used = [], 0, 0
    for index, tokens in enumerate(sentences.tokens):
        if index > start and used + tokens > budget:
            parts.append(sentences.part(start, index))
            start, used = index, 0
        used += tokens
    parts.append(sentences.part(start, len(sentences)))
    return parts


def take_passages(section: Sentences, count: int, random: Random) -> list[Example]:
    """Take up to `count` passages out of a section; the rest of it is the document of each.

    None are taken if too little would be left.
    """
    taken: set[int] = set()
    queries: list[str] = []
    for start in random.sample(range(len(section)), len(section)):
        passage = _passage_at(section.texts, start)
        if len(queries) < count and passage and taken.isdisjoint(passage):
            queries.append(" ".join(section.texts[i] for i in passage))
            taken.update(passage)
    rest = " ".join(text for i, text in enumerate(section.texts) if i not in taken)
    return [Example(query, rest) for query in queries] if len(rest) >= PASSAGE else []


def _passage_at(texts: Sequence[str], start: int) -> list[int]:
    """Return the numbers of the sentences from `start` on that make a passage, or none."""
    length = 0
    for end in range(start, len(texts)):
        length += len(texts[end])
        if length >= PASSAGE:
            return list(range(start, end + 1))
    return []


def training_examples(
    document: Document, tokenizer: PreTrainedTokenizerBase, budget: int, seed: int, seen: set[str]
) -> list[Example]:
    """Draw one passage from each section that is as long as a training text."""
    random = Random(f"{seed} {document.name}")
    kept = without_repeats(tokenize_sentences(document.text, tokenizer), seen)
    if not len(kept):
        return []
    return [
        example
        for section in sections(kept, budget)
        for example in take_passages(section, 1, random)
    ]


def held_out_examples(
    document: Document, tokenizer: PreTrainedTokenizerBase, context: Context, seed: int
) -> list[Example]:
    """Draw passages from a held-out document, in sections of the extended window.

    Sections that fit the original window are left out: they would prove nothing.
    """
    assert context.extended is not None
    random = Random(f"{seed} {document.name}")
    examples = []
    for section in sections(tokenize_sentences(document.text, tokenizer), context.extended):
        taken = take_passages(section, PASSAGES_PER_SECTION, random)
        if taken:
            tokens = tokenizer(taken[0].document, verbose=False)["input_ids"]
            examples += taken if len(tokens) > context.original else []
    return examples
