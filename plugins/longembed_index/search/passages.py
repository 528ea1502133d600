"""The passages of a document that answer a question, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sentencex  # type: ignore[import-untyped]
from numpy.typing import ArrayLike, NDArray

from longembed_index.document import Document, Hit, Passage
from longembed_index.documents.places import place_in

RankRanges = Callable[[str, Sequence[tuple[int, int]]], NDArray[np.floating[Any]]]
"""Returns how near ranges of a text's characters are to the query, shape (ranges,)."""

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


def choose_passages(
    ranges: ArrayLike, scores: NDArray[np.floating[Any]], text: str, most: int
) -> tuple[Passage, ...]:
    """Choose the best parts of a text, best first; neighbouring ones are joined.

    Args:
        ranges: Of characters, in the order of the text; they may overlap. Shape (parts, 2).
        scores: Shape (parts,).
        text: The text.
        most: How many parts to choose.
    """
    ranges = np.asarray(ranges)
    chosen = np.sort(np.argsort(-scores, kind="stable")[:most])
    runs = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1) if len(chosen) else []
    passages = []
    for run in runs:
        start, end = int(ranges[run[0], 0]), int(ranges[run[-1], 1])
        passages.append(Passage(start, end, text[start:end], float(scores[run].max())))
    return tuple(sorted(passages, key=lambda passage: -passage.score))


def with_best_sentence(hit: Hit, rank: RankRanges, language: str | None) -> Hit:
    """Return a hit with the sentence of its first passage that is nearest to the query.

    Args:
        hit: From a search.
        rank: Ranks the sentences of the passage.
        language: The language of the documents; see `sentences_of`.
    """
    if not hit.passages:
        return hit
    first, *others = hit.passages
    sentences = sentences_of(first.text, language)
    if not sentences:
        return hit
    start, end = sentences[int(np.argmax(rank(first.text, sentences)))]
    first = replace(first, sentence=(first.start + start, first.start + end))
    return replace(hit, passages=(first, *others))


def with_places(hit: Hit) -> Hit:
    """Return a hit whose passages say where they stand: share, page and heading."""
    return replace(hit, passages=tuple(_placed(hit.document, each) for each in hit.passages))


def _placed(document: Document, passage: Passage) -> Passage:
    """Return a passage with the place of its best sentence, or else of its first visible text."""
    blank = len(passage.text) - len(passage.text.lstrip())
    position = passage.sentence[0] if passage.sentence else passage.start + blank
    place = place_in(document.text, position, document.id)
    return replace(passage, share=place.share, page=place.page, heading=place.heading)


def sentences_of(text: str, language: str | None = None) -> list[tuple[int, int]]:
    """Return the sentences and lines of a text, as ranges of its characters, without blank ones.

    A line that goes on in lower case belongs to the sentence before it: the text is wrapped there.

    Args:
        text: Any text.
        language: One of `longembed_index.lexical.analyzer.LANGUAGES`; English if it is not known.
    """
    code = _LANGUAGE_CODES.get(language or "", "en")
    sentences: list[tuple[int, int]] = []
    for boundary in sentencex.get_sentence_boundaries(code, text):
        start = int(boundary["start_index"])
        is_wrapped = False
        for line in text[start : boundary["end_index"]].splitlines(keepends=True):
            visible = line.strip()
            first = start + len(line) - len(line.lstrip())
            if visible and is_wrapped and visible[0].islower():
                sentences[-1] = (sentences[-1][0], first + len(visible))
            elif visible:
                sentences.append((first, first + len(visible)))
            is_wrapped = bool(visible)
            start += len(line)
    return sentences
