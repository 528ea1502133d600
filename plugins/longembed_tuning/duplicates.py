"""Documents that are almost the same text: across a split, they would let a fit see its test."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import blake2b

SHINGLE = 8
"""Words that are hashed together."""

SKETCH = 64
"""The smallest hashes of a text, which stand for all of them (Broder 1997)."""

ALIKE = 0.5
"""Share of their hashes that near-duplicates have in common."""


def sketch(text: str) -> frozenset[int]:
    """The smallest hashes of a text's runs of words.

    Args:
        text: The text; case, punctuation and white space do not count.
    """
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}
    hashes = (int.from_bytes(blake2b(run.encode(), digest_size=8).digest(), "big") for run in runs)
    return frozenset(sorted(hashes)[:SKETCH])


def near_duplicates(sketches: Iterable[frozenset[int]]) -> list[int]:
    """The documents that repeat an earlier one.

    Args:
        sketches: Of each document.

    Returns:
        Their indices.
    """
    seen: defaultdict[int, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    repeated = []
    for index, hashes in enumerate(sketches):
        shared = Counter(other for value in hashes for other in seen[value])
        if any(n >= ALIKE * min(len(hashes), sizes[other]) for other, n in shared.items()):
            repeated.append(index)
            continue
        sizes[index] = len(hashes)
        for value in hashes:
            seen[value].append(index)
    return repeated
